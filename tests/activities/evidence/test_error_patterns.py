"""Lines of logs that complain, counted by what they have in common, with nothing in them that is anybody's business."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.evidence.error_patterns import masked, patterns

LOG = b"""===== web-1, app (registry.example/web:v1, node-1, , 0 restarts) =====
2026-02-04T03:00:00.100Z ERROR request 17 failed after 1203 ms
2026-02-04T03:00:01.100Z GET / 200
2026-02-04T03:00:09.900Z ERROR request 18 failed after 7 ms
===== web-2, app (registry.example/web:v1, node-1, , 0 restarts) =====
2026-02-04T03:00:05Z ERROR request 99 failed after 11 ms
2026-02-04T03:00:10Z panic: nil map
  a line that continues, without a time
"""


def test_lines_that_differ_in_numbers_are_one_pattern_and_the_newest_comes_first() -> None:
    found = patterns(LOG.splitlines(keepends=True), most=10)
    assert [(item.text, item.count, item.pods) for item in found.items] == [
        ("panic: nil map", 1, 1),
        ("ERROR request <n> failed after <n> ms", 3, 2),
    ]
    assert found.items[1].last_at == datetime(2026, 2, 4, 3, 0, 9, tzinfo=UTC)
    assert (found.lines, found.errors, found.others) == (5, 4, 0)
    assert str(found) == "4 errors in 5 lines: 1 × panic: nil map; 3 × ERROR request <n> failed after <n> ms"


def test_only_so_many_are_told() -> None:
    lines = [f"2026-02-04T03:00:{n:02}Z error of kind {'abcdefgh'[n] * 3}\n".encode() for n in range(8)]
    found = patterns(lines, most=3)
    assert [item.text[-3:] for item in found.items] == ["hhh", "ggg", "fff"]
    assert found.others == 5
    assert str(patterns([], most=3)) == "no errors in 0 lines"


@pytest.mark.parametrize(
    ("line", "hidden"),
    [
        ("connection to postgresql://app:hunter2@db-7.internal:5432/x refused", "hunter2"),
        ("Authorization: Bearer eyJhbGciOi.J9.abc failed", "eyJ"),
        ("login failed: password=hunter2", "hunter2"),
        ("bad api_key tsk_live_abc, error", "tsk_live"),
        ("X-Api-Key: letmein error", "letmein"),
        ("error: mail to bob@acme.example bounced", "bob"),
        ('error: tenant "Acme Corp" has no quota', "Acme"),
        ("error in 8f14e45f-ceea-467a-9b36-dedd4bea2543", "8f14e45f"),
        ("error fetching https://s3.example/b?X-Amz-Signature=abcdef", "abcdef"),
        ("error from 203.0.113.7:5432 and 2001:db8::17", "203.0"),
        ("error: passphrase=letmein", "letmein"),
        ("error GET /hook?sig=AbCdEf", "AbCdEf"),
        ("error with ghp_abcdefghijklmnopqrstuvwxyzABCDEFGHIJ", "abcdef"),
        ("error: bad eyJhbGciOiJI.eyJzdWIi.abc-DEF_x", "DEF_x"),
        ("error: mail to <ada@localhost> bounced", "ada"),
        ("error: can't parse 'Ada Lovelace", "Ada"),
        ('error: tenant "Acme Cor', "Acme"),
        ("error " + "x " * 995 + "postgresql://app:hunter2@db/x", "hunter2"),
    ],
)
def test_what_is_nobodys_business_is_masked(line: str, hidden: str) -> None:
    assert hidden not in masked(line)


def test_a_sentence_keeps_its_words() -> None:
    assert masked("error while stopping: worker, signal: killed") == "error while stopping: worker, signal: killed"


def test_lines_with_fields_are_told_apart_by_what_they_say() -> None:
    lines = [
        b'2026-02-04T03:00:00Z {"level":"error","msg":"connect to 10.0.0.7 failed","tenant":"Acme"}\n',
        b'2026-02-04T03:00:01Z {"level":"error","msg":"connect to 10.0.0.8 failed","tenant":"Umbrella"}\n',
        b'2026-02-04T03:00:02Z {"level":"error","msg":"no quota for \\"Acme\\""}\n',
        b'2026-02-04T03:00:03Z {"level":"info","msg":"done","errors":0}\n',
    ]
    assert [str(item) for item in patterns(lines, most=5).items] == [
        "1 × no quota for <text>",
        "2 × connect to <n> failed",
    ]


def test_times_of_a_node_in_another_zone_are_read() -> None:
    """The kubelet gives them as the container runtime has written them."""
    found = patterns([b"2026-02-04T04:30:00.123456789+05:30 ERROR gone\n"], most=1)
    assert (found.lines, found.errors) == (1, 1)
    assert found.items[0].last_at == datetime(2026, 2, 3, 23, tzinfo=UTC)


@given(st.text())
def test_any_line_becomes_one_short_printable_line(line: str) -> None:
    found = masked(line)
    assert len(found) <= 200
    assert "\n" not in found
    assert found.replace("…", "").isprintable()
