"""A run in five lines: what people said when they closed it counts before its result, and telling is no change."""

from datetime import timedelta
from typing import Any

from audit.gist import changes, closing, gist
from audit.story import Effect, Step, Trigger, Word
from tests.audit.stories import BEGAN, story


def step(number: int, activity: str, target: str, *, after: str = "6", **fields: Any) -> Step:
    dry_run = bool(fields.pop("dry_run", False))
    effect = Effect(key=f"k{number}", target=target, before="3", after=after, applied=True, dry_run=dry_run)
    at = BEGAN + timedelta(seconds=number)
    told = {"outcome": "completed", "section": "2.2/6", "title": "t"} | fields
    return Step(event_id=number, activity=activity, scheduled_at=at, ended_at=at, effect=effect, **told)


def test_only_what_changed_outside_is_a_change() -> None:
    told = story(
        steps=[
            step(1, "kubernetes.scale", "deployment/api"),
            step(2, "slack.post", "channel"),
            step(3, "kubernetes.scale", "deployment/web", outcome="failed"),
            step(4, "helm.rollback", "release/api", after="v1.2.3", dry_run=True),
        ]
    )
    assert list(changes(told)) == ["deployment/api: 3 → 6", "would: release/api: 3 → v1.2.3"]


def test_many_changes_are_named_in_part_and_each_once() -> None:
    steps = [step(number, "kubernetes.scale", f"deployment/{number % 9}") for number in range(1, 19)]
    (done,) = [text for name, text in gist(story(steps=steps)) if name == "What was done"]
    assert done.count("→") == 6
    assert done.endswith("and 3 more changes")


def test_the_last_word_says_why_and_the_result_where_there_is_none() -> None:
    result = {"root_cause": "by the run", "resolution": "rolled back"}
    words = [
        Word(event_id=number, update="close", at=BEGAN, who="ada", fields={"root_cause": cause}, standing="valid")
        for number, cause in enumerate(("first", "last", ""))
    ]
    assert closing(story(result=result)) == {"resolution": "rolled back", "root_cause": "by the run"}
    assert closing(story(result=result, words=words)) == {"resolution": "rolled back", "root_cause": "last"}


def test_who_started_it_is_said_and_what_nobody_knows_is_no_line() -> None:
    alert = {"name": "Down", "summary": "API down"}
    lines = dict(gist(story(trigger=Trigger(kind="alert", by="alertmanager", alert=alert))))
    assert lines["What happened"].endswith("an alert started it, alertmanager — Down — API down")
    assert lines["Who"] == "nobody had to say a word"
    assert "Cause" not in lines


def test_an_open_run_has_lasted_until_now() -> None:
    told = story(0, ended_at=None, status="running")
    assert dict(gist(told, BEGAN + timedelta(minutes=5)))["How long"].startswith("open for 5:00 min; began 2026-11-02")
    assert "How long" not in dict(gist(told))
