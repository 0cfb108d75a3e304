"""Settings that a worker can be wired with."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from workers.settings import (
    KubernetesSettings,
    RecordsSettings,
    Settings,
)

KUBECONFIG: dict[str, Any] = {
    "current-context": "here",
    "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
    "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
}


@pytest.fixture
def kubeconfig_file(tmp_path: Path) -> Path:
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(KUBECONFIG), encoding="utf-8")
    return file


def settings(kubeconfig_file: Path, **sections: Any) -> Settings:
    nobody = RecordsSettings(url=SecretStr("postgresql://nobody@127.0.0.1:1/nothing"))
    return Settings(**{"kubernetes": KubernetesSettings(kubeconfig=kubeconfig_file), "records": nobody} | sections)
