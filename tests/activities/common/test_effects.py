"""An effect is marked as one, and its change is one line of the timeline."""

import pytest
from pydantic import ValidationError

from activities.common.effects import Change, Effect, effect, is_effect


def test_only_what_is_marked_is_an_effect() -> None:
    class Steps:
        @effect
        def change(self) -> None: ...

        def read(self) -> None: ...

    assert is_effect(Steps.change)
    assert is_effect(Steps().change)
    assert not is_effect(Steps.read)


@pytest.mark.parametrize(
    ("before", "note", "line"),
    [
        ("2 nodes", "planned", "node group: 2 nodes → 3 nodes (planned)"),
        ("2 nodes", "", "node group: 2 nodes → 3 nodes"),
        ("", "planned", "node group: 3 nodes (planned)"),
        ("", "", "node group: 3 nodes"),
    ],
)
def test_a_change_says_only_what_there_is_to_say(before: str, note: str, line: str) -> None:
    assert str(Change(target="node group", before=before, after="3 nodes", applied=True, note=note)) == line


def test_an_effect_without_an_identity_is_none_and_an_identity_stays() -> None:
    with pytest.raises(ValidationError, match="key"):
        Effect(key="", workflow_id="w", run_id="r", actor="ada")
    made = Effect(key="w/r/step", workflow_id="w", run_id="r", actor="ada")
    with pytest.raises(ValidationError, match="frozen"):
        made.key = "another"  # type: ignore[misc]
