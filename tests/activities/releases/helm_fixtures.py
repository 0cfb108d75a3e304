"""Fixtures of a Helm release on the session's cluster."""

import shutil
from pathlib import Path

import pytest
from kubernetes import client

from activities.releases.helm import Helm
from sandbox import binaries, manifests
from tests.activities.kubernetes.on_cluster import OnCluster
from tests.activities.releases.on_helm import OnHelm


@pytest.fixture(scope="module")
def helm_charts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the service's chart, in which a pod's size and the rollout's pace can be set as well."""
    folder = tmp_path_factory.mktemp("charts")
    shutil.copytree(manifests.CHART, folder / "tensafe")
    template = folder / "tensafe" / "templates" / "deployment.yaml"
    text = template.read_text().replace("cpu: 500m", 'cpu: {{ .Values.cpu | default "500m" | quote }}')
    text = text.replace("maxSurge: 100%", 'maxSurge: {{ .Values.surge | default "100%" }}')
    text = text.replace(
        "  revisionHistoryLimit:", "  minReadySeconds: {{ .Values.settle | default 0 }}\n  revisionHistoryLimit:"
    )
    assert text.count(".Values.") == 8
    template.write_text(text)
    return folder


@pytest.fixture
def released(server: OnCluster, kubeconfig: Path, cluster_api: client.ApiClient, helm_charts: Path) -> OnHelm:
    helm = Helm(str(binaries.find("helm")), cluster_api, kubeconfig=kubeconfig, context=None, directory=helm_charts)
    return OnHelm(helm, server, helm_charts / "tensafe", cluster_api)
