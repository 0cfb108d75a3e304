"""A security incident's report says what was done, and leaves nothing out that was not."""

from types import SimpleNamespace
from typing import Any

import pytest

from activities.catalogue.security import SecurityPolicy
from activities.evidence.evidence import StoredEvidence
from activities.evidence.forensics import KeptEvidence
from activities.evidence.live_state import CapturedLive
from activities.kubernetes.suspects import PodRef
from workflows.platform.approval import Answer
from workflows.platform.timeline import Timeline
from workflows.security.audit_report import as_json, as_markdown, report

MANIFEST = StoredEvidence(uri="s3://kept/manifest.json", sha256="0123", size=9)
DONE: dict[str, Any] = {"target": "node-a", "before": "", "after": "", "applied": True}
KEPT = KeptEvidence(
    **DONE, manifest=MANIFEST, pieces=2, size=9, kept=[], gone=["tensafe/gone"], unreadable=["tensafe/mute"]
)


def containment(live: CapturedLive | None = None, policy: SecurityPolicy | None = None) -> Any:
    answers = {"return": Answer(choice="leave", by="ada (security)", reason="to look at")}
    return SimpleNamespace(
        run=SimpleNamespace(approvals=SimpleNamespace(answers=answers), timeline=Timeline()),
        desk=SimpleNamespace(id="SEC-1"),
        service=SimpleNamespace(name="tensafe-server"),
        policy=policy or SecurityPolicy(),
        nodes=["node-a"],
        isolated=[PodRef(namespace="tensafe", name="web", uid="u")],
        gone={"u"},
        left=["tensafe/bare"],
        parts=[KEPT],
        live=live,
    )


def written(found: Any, addresses: dict[str, str] | None = None) -> dict[str, Any]:
    return report(found, None, addresses or {}, None, outcome="isolated", nodes="leave")


def test_what_was_done_stands_in_it() -> None:
    content = written(containment(), {"8.8.8.8/32": "blocked for good"})
    assert content["nodes"] == {"node-a": "leave"}
    assert content["isolated"] == ["tensafe/web"]
    assert (content["moved"], content["left"]) == (1, ["tensafe/bare"])
    assert content["evidence"] == [{"manifest": MANIFEST.uri, "sha256": "0123", "signed": False}]
    assert content["evidence not kept"] == ["tensafe/gone", "tensafe/mute"]
    assert content["answers"]["return"]["by"] == "ada (security)"


def test_what_nobody_named_or_looked_at_is_said() -> None:
    told = " ".join(written(containment())["not done"])
    for step in ("8.1 step 4", "8.1 step 5", "8.1 step 6"):
        assert step in told
    assert "8.1 step 6" not in " ".join(written(containment(), {"8.8.8.8/32": "blocked"})["not done"])


@pytest.mark.parametrize(
    ("live", "policy", "missing"),
    [
        (None, SecurityPolicy(), ["processes, open connections and memory of the pods were not kept"]),
        (
            CapturedLive(
                target="node-a",
                applied=True,
                before="",
                after="",
                captured=["web"],
                checkpoints=[],
                missing=["side: it had ended"],
            ),
            SecurityPolicy(debug_image="debug@sha256:1"),
            ["memory of the pods was not kept: settings ask for no checkpoint", "not captured: side: it had ended"],
        ),
        (
            CapturedLive(
                target="node-a", applied=True, before="", after="", captured=[], checkpoints=["web: /file"], missing=[]
            ),
            SecurityPolicy(checkpoint=True),
            ["processes and open connections were not kept: settings name no debug image"],
        ),
    ],
)
def test_what_of_running_pods_was_not_captured_is_said(
    live: CapturedLive | None, policy: SecurityPolicy, missing: list[str]
) -> None:
    not_done = written(containment(live, policy))["not done"]
    assert not_done[-len(missing) :] == missing
    assert [line for line in not_done if "not kept" in line or "captured" in line] == missing


def test_markdown_says_none_where_there_is_nothing() -> None:
    text = as_markdown(written(containment()))
    assert "## Addresses\n\n- none\n" in text
    assert "- return: leave by ada (security) to look at" in text


def test_markdown_of_others_words_does_no_harm() -> None:
    found = containment()
    found.left = ["[click](http://bad)"]
    assert "- [click](" not in as_markdown(written(found))


def test_json_keeps_every_letter() -> None:
    assert "Zoë" in as_json({"by": "Zoë"})
