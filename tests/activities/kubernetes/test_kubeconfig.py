"""A kubeconfig of no use is told by what it lacks, without the client."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from activities.common.errors import Misconfigured
from activities.kubernetes.kubeconfig import check


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("KUBECONFIG", raising=False)


def written(file: Path, *names: str, **more: Any) -> Path:
    file.write_text(json.dumps({"contexts": [{"name": name} for name in names], **more}))
    return file


def test_one_with_its_current_context_is_fine(tmp_path: Path) -> None:
    check(written(tmp_path / "config", "one", "other", **{"current-context": "one"}))
    check(written(tmp_path / "config", "one", "other"), "other")


@pytest.mark.parametrize(
    ("content", "context", "says"),
    [
        ('{"contexts": [{"name": "one"}]}', None, "has no current context"),
        ('{"contexts": [{"name": "one"}], "current-context": "other"}', None, "has no context 'other'"),
        ('{"contexts": [{"name": "one"}], "current-context": "one"}', "third", "has no context 'third'"),
        ('{"contexts": "one", "current-context": "one"}', None, "has no context 'one'"),
        ('{"contexts": ["one"], "current-context": "one"}', None, "has no context 'one'"),
        ("- one", None, "is no kubeconfig"),
        ("", None, "is no kubeconfig"),
        ("{", None, "can't be read (ParserError)"),
    ],
)
def test_what_it_lacks_is_said(tmp_path: Path, content: str, context: str | None, says: str) -> None:
    (tmp_path / "config").write_text(content)
    with pytest.raises(Misconfigured) as caught:
        check(tmp_path / "config", context)
    assert caught.value.message.startswith("no access to Kubernetes: ")
    assert caught.value.message.endswith(says)


def test_one_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"there is no kubeconfig at .*none"):
        check(tmp_path / "none")


def test_one_in_another_encoding_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "config").write_bytes(b"contexts: \xff")
    with pytest.raises(Misconfigured, match="can't be read"):
        check(tmp_path / "config")


def test_within_a_cluster_none_is_needed_unless_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    check()
    with pytest.raises(Misconfigured):
        check(tmp_path / "none")
    with pytest.raises(Misconfigured):
        check(context="one")


def test_of_several_files_the_contexts_of_all_count_and_the_last_that_names_a_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [
        written(tmp_path / "a", "one", **{"current-context": "gone"}),
        tmp_path / "none",
        written(tmp_path / "b", "other", **{"current-context": "one"}),
        written(tmp_path / "c"),
    ]
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, files)))
    check()
    check(context="other")
    with pytest.raises(Misconfigured, match="no context 'gone'"):
        check(context="gone")
