"""Helm's post-renderer: one line changes, and nothing else."""

import subprocess
import sys

import pytest
import yaml

from activities.releases import keep_replicas

DEPLOYMENT = """---
# Source: tensafe/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  labels:
    name: other
  name: tensafe-server
spec:
  replicas: 3   # of the chart
  template:
    spec:
      replicas: 1
"""
OTHER = """---
kind: StatefulSet
metadata:
  name: tensafe-server
spec:
  replicas: 3
---
kind: Deployment
metadata:
  name: worker
spec:
  replicas: 3
"""


@pytest.mark.parametrize(("least", "becomes"), [(6, 6), (3, 3), (1, 3)])
def test_a_deployment_has_no_fewer(least: int, becomes: int) -> None:
    kept = keep_replicas.kept(OTHER + DEPLOYMENT, {"tensafe-server": least})
    assert kept == OTHER + DEPLOYMENT.replace("replicas: 3   #", f"replicas: {becomes}   #")


def test_a_deployment_that_says_nothing_of_them_any_more_says_it_again() -> None:
    text = DEPLOYMENT.replace("  replicas: 3   # of the chart\n", "")
    kept = keep_replicas.kept(text, {"tensafe-server": 6})
    assert kept == text.replace("spec:\n  template", "spec:\n  replicas: 6\n  template", 1)
    assert keep_replicas.kept(kept, {"tensafe-server": 2}) == kept


@pytest.mark.parametrize(
    ("written", "becomes"),
    [
        ("kind: Deployment # of us\nmetadata: {name: api}\nspec: {replicas: 3, paused: false}\n", "replicas: 6,"),
        ("kind: Deployment\nmetadata:\n# of us\n    name: api\nspec:\n    replicas: 3\n", "    replicas: 6\n"),
        ("kind: Deployment\nmetadata:\n  name: api\nspec: # of us\n    paused: false\n", "    replicas: 6\n    paused"),
        ("kind: Deployment\r\nmetadata:\r\n  name: api\r\nspec:\r\n  replicas: 3\r\n", "replicas: 6\r\n"),
        ("kind: Deployment\nmetadata:\n  name: api\nspec:\n  replicas:\n  paused: false\n", "replicas: 6\n  paused"),
        ("kind: Deployment\nmetadata:\n  name: api\nspec:\n  replicas: &few 3", "replicas: &few 6"),
        ('{"kind":"Deployment","metadata":{"name":"api"},"spec":{"replicas":3}}', '"replicas":6}'),
        ('{"kind":"Deployment","metadata":{"name":"api"},"spec":{"paused":false}}', '{replicas: 6, "paused"'),
    ],
)
def test_however_a_chart_writes_it(written: str, becomes: str) -> None:
    before = written.replace("api", "gateway")
    kept = keep_replicas.kept(f"{before}\n---\n{written}\n---\n{before}", {"api": 6})
    assert kept.startswith(f"{before}\n---\n")
    assert kept.endswith(f"\n---\n{before}")
    assert becomes in kept
    (changed,) = [one for one in yaml.safe_load_all(kept) if one["metadata"]["name"] == "api"]
    assert changed["spec"]["replicas"] == 6


def test_what_is_nobodys_stays_as_it_is() -> None:
    text = DEPLOYMENT.replace("  replicas: 3   # of the chart\n", "")
    for other in (OTHER + DEPLOYMENT, text):
        assert keep_replicas.kept(other, {"gateway": 6}) == other
    assert keep_replicas.kept("", {"tensafe-server": 6}) == ""


def test_helm_calls_it_as_a_program() -> None:
    command = [sys.executable, keep_replicas.__file__, "tensafe-server=6", "worker=4"]
    done = subprocess.run(command, input=OTHER + DEPLOYMENT, text=True, capture_output=True, check=True)
    assert "replicas: 6   #" in done.stdout
    assert done.stdout.count("replicas: 4") == 1


def test_what_stands_in_a_list_is_kept_as_well() -> None:
    inner = "- kind: Deployment\n  metadata: {name: api}\n  spec:\n    replicas: 3\n"
    others = "- kind: ConfigMap\n  metadata: {name: api}\n  data: {replicas: '3'}\n"
    listed = f"apiVersion: v1\nkind: List\nitems:\n{others}{inner}"
    assert keep_replicas.kept(listed, {"api": 6}) == listed.replace("replicas: 3\n", "replicas: 6\n")
    nested = "kind: List\nitems:\n- kind: DeploymentList\n  items:\n" + "".join(
        f"  {line}\n" for line in inner.replace("replicas: 3", "paused: false").splitlines()
    )
    (found,) = yaml.safe_load(keep_replicas.kept(nested, {"api": 6}))["items"]
    assert found["items"][0]["spec"] == {"replicas": 6, "paused": False}
    assert keep_replicas.kept("kind: List\nitems: []\n# of Deployment api\n", {"api": 6}).endswith("api\n")


def test_what_an_alias_names_twice_is_changed_once() -> None:
    listed = (
        "kind: List\nitems:\n- &one\n  kind: Deployment\n  metadata: {name: api}\n  spec: {paused: false}\n- *one\n"
    )
    kept = keep_replicas.kept(listed, {"api": 6})
    assert [one["spec"] for one in yaml.safe_load(kept)["items"]] == [{"replicas": 6, "paused": False}] * 2


def test_documents_of_comments_only_are_left_alone() -> None:
    comment = "---\n# Source: tensafe/templates/deployment.yaml\n# no Deployment of tensafe-server here\n"
    for text in (comment, f"# first\n{comment}{comment}{DEPLOYMENT}{comment}--- # Deployment, tensafe-server\n---\n"):
        kept = keep_replicas.kept(text, {"tensafe-server": 6})
        assert kept == text.replace("replicas: 3   #", "replicas: 6   #")
