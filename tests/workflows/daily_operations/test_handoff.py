"""The handoff is cut for the channel."""

from workflows.daily_operations.handoff import for_slack


def test_a_long_handoff_is_cut_for_the_channel() -> None:
    shown = for_slack("# Title\n" + "- **bold** and `code`\n" * 500)
    assert shown.startswith("*Title*\n• *bold* and `code`\n")
    assert len(shown) < 3700
    assert shown.endswith("(all of it: the report in the records)")
