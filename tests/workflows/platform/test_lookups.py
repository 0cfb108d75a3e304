"""What a worker knows by itself is looked up by an activity, not a local one."""

from pathlib import Path

from workflows.platform import lookups


def test_nothing_else_is_a_local_activity() -> None:
    folder = Path(lookups.__file__).parent.parent
    local = {path.name for path in folder.rglob("*.py") if "execute_local_activity" in path.read_text(encoding="utf-8")}
    assert local == {"lookups.py"}
