"""A line of a log, plain or with fields: what it says, and whether that is a complaint."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.evidence.log_lines import read


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('{"level":"error","msg":"connect failed","err":"connection refused"}', "connect failed: connection refused"),
        ('{"severity":"CRITICAL","message":"disk is full"}', "disk is full"),
        (
            '{"level":50,"msg":"no route","err":{"type":"TypeError","message":"x is null"}}',
            "no route: TypeError: x is null",
        ),
        ('{"short_message":"went away","level":3,"version":"1.1"}', "went away"),
        ('{"event":"paid twice","level":"error"}', "paid twice"),
        ('{"level":"error","exc_info":"Traceback (most recent call last):\\n  File\\nKeyError: 7"}', "KeyError: 7"),
        ('{"level":"error","stack_trace":"java.io.IOException: gone\\n\\tat Foo"}', "java.io.IOException: gone"),
        ('{"level":"error","msg":"this one is cut o', "this one is cut o"),
        ('{"level":"info","msg":"served","status":503}', "served"),
        ('time=12 level=error msg="no quota" err="429"', "no quota: 429"),
        ("\x1b[31mERROR\x1b[0m it broke", "ERROR it broke"),
        ("E0204 03:00:00.1 1 sync.go:7] not synced", "E0204 03:00:00.1 1 sync.go:7] not synced"),
        ("ValueError: bad", "ValueError: bad"),
        ('ERROR quota: {"message":"of acme"}', 'ERROR quota: {"message":"of acme"}'),
        ("ERROR compaction level=3 file=7", "ERROR compaction level=3 file=7"),
    ],
)
def test_what_complains_is_what_the_line_says(line: str, text: str) -> None:
    found = read(line)
    assert (found.complains, found.text) == (True, text)


@pytest.mark.parametrize(
    "line",
    [
        '{"level":"info","msg":"done","errors":0,"failed":false,"error":null}',
        '{"level":0,"msg":"started"}',
        '{"level":"info","msg":"served","status":200}',
        'level=info msg="synced" error= retries=0',
        "synced 12 items, 0 errors, 0 failed",
        "INFO no errors",
        "INFO compaction level=0 done",
        "GET / 200",
    ],
)
def test_a_word_that_names_a_field_complains_of_nothing(line: str) -> None:
    assert not read(line).complains


def test_a_line_of_any_length_is_read_at_once() -> None:
    """It took minutes: the longest lines are those that a program dumps when it fails."""
    for line in (
        "500 " * 500_000,
        "x" * 2_000_000,
        "{" * 1_000_000,
        json.dumps({"msg": "error", "body": "7" * 1_000_000}),
    ):
        assert len(read(line).text) <= 8192


@given(st.text() | st.from_regex(r'\{("(level|msg|err)":("[^"]*"|[0-9]+|null|\{\}|\[\]),?)*\}?', fullmatch=True))
def test_any_line_can_be_read(line: str) -> None:
    read(line)
