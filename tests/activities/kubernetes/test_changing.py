"""A change is planned anew where somebody was faster, happens once, and is only tried in plan mode."""

from typing import Any

import pytest

from activities.common.effects import Change, Effect
from activities.common.errors import Conflict, NotFound, Refused
from activities.kubernetes.changing import Body, Plan, change, patch, settle
from activities.kubernetes.effect_notes import EFFECTS, Done, noted
from tests.activities.kubernetes.on_cluster import an_effect


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.kubernetes.changing._PAUSES", (0.0,) * 4)


class Thing:
    """Something that has a number, and annotations; others may be faster a few times."""

    def __init__(self, number: int = 3, faster: int = 0) -> None:
        self.number, self.faster, self.sent = number, faster, 0
        self.annotations: dict[str, str] = {}

    def read(self) -> dict[str, Any]:
        return {"number": self.number, "annotations": dict(self.annotations)}

    def send(self, body: Body) -> None:
        self.sent += 1
        if self.faster:
            self.faster -= 1
            self.number += 10
            raise Conflict("another resourceVersion")
        assert isinstance(body, dict)
        self.number, self.annotations[EFFECTS] = body["number"], body["note"]

    def set_to(self, number: int, effect: Effect) -> Change:
        def plan(found: dict[str, Any]) -> Plan:
            if found["number"] == number:
                return Plan("", f"already {number}")

            def body(done: Done) -> Body:
                return {"number": number, "note": noted(found["annotations"], done)}

            return Plan(str(found["number"]), str(number), body)

        return change(
            "thing/one", effect, read=self.read, notes=lambda found: [found["annotations"]], plan=plan, send=self.send
        )


def test_a_second_attempt_answers_what_the_first_did_though_others_have_changed_it_since() -> None:
    thing, effect = Thing(), an_effect()
    first = thing.set_to(5, effect)
    assert (first.before, first.after, first.applied) == ("3", "5", True)
    thing.number = 7
    again = thing.set_to(5, effect)
    assert (again.before, again.after, again.applied, again.note) == ("3", "5", False, "done by an earlier attempt")
    assert (thing.number, thing.sent) == (7, 1)


def test_where_there_is_nothing_to_do_nothing_is_sent() -> None:
    thing = Thing(5)
    assert thing.set_to(5, an_effect()) == Change(target="thing/one", after="already 5", applied=False)
    assert thing.sent == 0


def test_where_somebody_was_faster_it_is_planned_from_what_is_there_then() -> None:
    thing = Thing(faster=2)
    assert str(thing.set_to(5, an_effect())) == "thing/one: 23 → 5"
    assert thing.sent == 3


def test_what_changes_all_the_time_is_a_conflict() -> None:
    thing = Thing(faster=100)
    with pytest.raises(Conflict, match="thing/one changes all the time"):
        thing.set_to(5, an_effect())
    assert thing.sent == 4


def test_a_plan_is_sent_to_be_tried_and_is_not_applied() -> None:
    thing = Thing()
    planned = thing.set_to(5, an_effect(dry_run=True))
    assert (planned.applied, planned.note) == (False, "plan only: the API server would accept it")
    assert thing.sent == 1


def test_only_what_is_a_collision_is_tried_again() -> None:
    tries: list[object] = []

    def fail(_: int, body: Body) -> None:
        tries.append(body)
        raise NotFound("it has gone") if len(tries) == 1 else Refused("no")

    with pytest.raises(NotFound):
        settle("it", read=lambda: 1, plan=lambda _: ("", {}), send=fail)
    tries.clear()
    with pytest.raises(Refused):
        settle("it", read=lambda: 1, plan=lambda _: ("", {}), send=fail, collided=(NotFound,))
    assert len(tries) == 2


@pytest.mark.parametrize(
    ("body", "dry_run", "options"),
    [
        ({"spec": {}}, False, {"_content_type": "application/merge-patch+json"}),
        ({"spec": {}}, True, {"_content_type": "application/merge-patch+json", "dry_run": "All"}),
        ([{"op": "remove"}], False, {}),
    ],
)
def test_a_patch_is_of_its_kind_and_under_our_name(body: Body, options: dict[str, Any], *, dry_run: bool) -> None:
    asked: dict[str, Any] = {}

    class Answer:
        data = "{}"

    def method(*target: Any, **given: Any) -> Answer:
        asked.update(given, target=target)
        return Answer()

    patch(method, "web", "shop", body=body, dry_run=dry_run)
    assert asked.pop("target") == ("web", "shop", body)
    assert asked.pop("field_manager") == "durable-runbooks"
    assert {name: asked.get(name) for name in ("_content_type", "dry_run") if name in asked} == options
