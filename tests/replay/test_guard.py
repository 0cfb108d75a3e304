"""What would strand open runs is said before it is replayed, with what to do."""

import shutil
from pathlib import Path

import pytest

from docs.steps import ROOT, Workflows
from tests.replay import guard
from tests.replay.commands import Reader, without_new_patches

SCALE_UP = "workflows/scaling/manual_scale_up.py"
VERIFY = '        verified = await verify(self, "3.1/4", service, service.scaling.ready_within)\n'
LOOK = '        await self.attempt("3.1/4", "Pods", Kubernetes.pods, where, policies.READ)\n'
NOW = guard.current_commands()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "workflows", tmp_path / "workflows")
    return tmp_path


def change(checkout: Path, file: str, old: str, new: str) -> dict[str, list[str]]:
    """Change a copy of the workflows, and give what the guard says."""
    text = (checkout / file).read_text(encoding="utf-8")
    assert old in text
    (checkout / file).write_text(text.replace(old, new), encoding="utf-8")
    return guard.broken_commands(NOW, Reader(Workflows(checkout)).all())


def test_everything_is_written_down() -> None:
    wrong = guard.check()
    assert not wrong, wrong


def test_a_step_more_is_said_with_its_place(checkout: Path) -> None:
    (text,) = guard.told(change(checkout, SCALE_UP, VERIFY, LOOK + VERIFY))
    assert text.splitlines() == [
        "Other commands than before, from ManualScaleUp.run:",
        "      finish",
        "      phase",
        "    + attempt Kubernetes.pods",
        "      attempt Kubernetes.await_rollout",
        "      attempt HealthChecks.steady",
    ]


def test_a_step_less_and_another_order_are_said(checkout: Path) -> None:
    (text,) = guard.told(change(checkout, SCALE_UP, VERIFY, "        verified = None\n"))
    assert "    - attempt HealthChecks.steady" in text


def test_behind_a_patch_a_new_step_is_no_change(checkout: Path) -> None:
    guarded = '        if workflow.patched("looks-at-pods"):\n    ' + LOOK
    assert change(checkout, SCALE_UP, VERIFY, guarded + VERIFY) == {}


def test_a_patch_that_is_out_is_guarded_itself(checkout: Path) -> None:
    found = change(checkout, "workflows/deployment/standard_deployment.py", '"kept-stopped"', '"kept-stopped-2"')
    assert any("- patched kept-stopped {" in text for text in guard.told(found))


def test_a_patch_may_be_kept_in_a_variable(checkout: Path) -> None:
    guarded = '        looks = workflow.patched("looks-at-pods")\n        if looks:\n    ' + LOOK
    assert change(checkout, SCALE_UP, VERIFY, guarded + VERIFY) == {}


def test_names_of_functions_and_their_places_are_no_change(checkout: Path) -> None:
    for file in (checkout / "workflows").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("_pin(", "_pinned(").replace("_undo(", "_go_back("), encoding="utf-8")
    assert guard.broken_commands(NOW, Reader(Workflows(checkout)).all()) == {}


def test_what_a_procedure_is_told_counts_where_its_base_takes_it(checkout: Path) -> None:
    old = '        self.say("decision", f"Taken over'
    found = change(
        checkout, "workflows/incident_response/p1/words.py", old, f'        self.finish("taken over")\n{old}'
    )
    assert list(found) == ["P1Incident.take-over"]


def test_what_a_part_does_counts_which_only_another_module_knows(checkout: Path) -> None:
    arrives = "        self.run.took(*news.joined)\n"
    found = change(checkout, "workflows/incident_response/p1/alerts.py", arrives, "")
    assert "P1Incident.alerts" in found


def test_a_patch_may_be_kept_by_another_object(checkout: Path) -> None:
    found = change(
        checkout, "workflows/incident_response/p1_incident.py", '"one-incident-a-service"', '"one-a-service"'
    )
    assert any("patched one-incident-a-service {" in text for text in found["P1Incident.alerts"])


def test_what_helpers_do_is_a_change_of_every_procedure_that_uses_them(checkout: Path) -> None:
    old = '    rollout = await run.attempt(\n        section,\n        "Rollout"'
    found = change(checkout, "workflows/shared/verification.py", old, f'    run.say("problem", "slow")\n{old}')
    assert found.keys() >= {"ManualScaleUp.run", "EmergencyScaleUp.run", "Rollback.run"}
    assert len(guard.told(found)) < len(found), "said once, and not for each"


def test_what_a_class_has_from_another_is_found() -> None:
    """A missed deadline escalates: `Incident` has that from `Desk`, which its procedure doesn't import."""
    p1 = NOW["P1Incident.run"]
    asks_a_p2 = p1.index("timer")
    deadline = p1.index("timer", asks_a_p2 + 1)
    assert "keep Paging.page" in p1[deadline : p1.index("timer", deadline + 1)]


def test_patches_within_patches_are_left_out_whole() -> None:
    now = ["begin", "patched new {", "memo", "patched inner {", "timer", "}", "memo", "}", "patched old {", "memo", "}"]
    assert without_new_patches(["begin", "patched old {", "memo", "}"], now) == ["begin", "patched old {", "memo", "}"]


def test_a_history_that_was_recorded_anew_is_said_until_somebody_says_why() -> None:
    manifest = {"p1_incident-asked": {"recorded": [{"sha256": "a", "because": guard.FIRST}]}}
    assert guard.broken_histories(manifest, {"p1_incident-asked": "a"}) == []
    (text,) = guard.broken_histories(manifest, {"p1_incident-asked": "b"})
    assert "was recorded anew, and nobody has said why" in text
    manifest["p1_incident-asked"]["recorded"].append({"sha256": "b", "because": "no run of before can be open"})
    assert guard.broken_histories(manifest, {"p1_incident-asked": "b"}) == []
    (text,) = guard.broken_histories(manifest, {})
    assert "is gone" in text


def test_every_history_that_was_recorded_anew_has_its_line_for_operators() -> None:
    told = guard.told_in_upgrading()
    entries = guard.known(guard.MANIFEST).values()
    reasons = [record["because"] for entry in entries for record in entry["recorded"][1:]]
    assert [reason for reason in reasons if reason not in told] == []


def test_recording_what_is_recorded_needs_a_line_for_operators() -> None:
    assert guard.refusal("p1_incident-new-case", "") == ""
    assert "is recorded already" in guard.refusal("p1_incident-asked", "")
    assert "docs/upgrading.md doesn't say" in guard.refusal("p1_incident-asked", "because I say so")
    assert guard.refusal("p1_incident-asked", "Histories") == ""
