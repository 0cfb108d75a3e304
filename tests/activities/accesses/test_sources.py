"""An access is read from a line of ingress-nginx's log or a row of a query, and has nothing that may be a token."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.accesses.access import Access
from activities.accesses.sources import _LINE, _access, _logs, _of_row, _split
from activities.common.errors import Misconfigured

AT = datetime(2026, 6, 2, 12, 0, 7, tzinfo=UTC)


def line(request: str = "GET /login HTTP/1.1", status: int = 200, who: str = "-") -> bytes:
    return (
        f'198.51.100.7 - {who} [02/Jun/2026:14:00:07 +0200] "{request}" {status} 612 "https://x/?token=t" "curl" '
        "93 0.004 [shop-web-80] [] 10.0.0.4:8080 612 0.004 200 abc"
    ).encode()


def read(text: bytes) -> Access:
    found = _LINE.match(text)
    assert found is not None
    return _access(found)


def test_a_line_of_the_log_is_an_access() -> None:
    assert read(line(who="ada")) == Access(AT, "198.51.100.7", "ada", "GET /login 200", allowed=True)
    assert read(line()).who == ""


@pytest.mark.parametrize(
    ("status", "allowed"),
    [
        (200, True),
        (302, True),
        (399, True),
        (400, None),
        (404, None),
        (500, None),
        (401, False),
        (403, False),
        (407, False),
    ],
)
def test_what_an_answer_says_of_the_access(status: int, *, allowed: bool | None) -> None:
    assert read(line(status=status)).allowed is allowed


@pytest.mark.parametrize(
    ("request_line", "what"),
    [
        ("GET /a?token=secret HTTP/2.0", "GET /a 200"),
        ("GET /a?x=?token=secret HTTP/1.1", "GET /a 200"),
        ("GET /a HTTP/1.1?token=secret HTTP/1.1", "GET /a HTTP/1.1 200"),
        ("\\x16\\x03\\x01", "\\x16\\x03\\x01 200"),
        ("", " 200"),
    ],
)
def test_what_follows_a_paths_question_mark_is_left_out(request_line: str, what: str) -> None:
    assert read(line(request_line)).what == what


@pytest.mark.parametrize(
    "text", [b"", b"I0602 controller.go:1] synced", line()[:40], line().replace(b" 612 ", b" x ", 1)]
)
def test_other_lines_are_none(text: bytes) -> None:
    assert _LINE.match(text) is None


def split(*chunks: bytes) -> list[bytes]:
    return ActivityEnvironment().run(lambda: list(_split(iter(chunks))))


def test_lines_are_whole_however_they_arrive() -> None:
    assert split(b"on", b"e\ntwo\nth", b"ree") == [b"one", b"two", b"three"]
    assert split(b"one\n") == [b"one"]
    assert split() == []


def test_a_line_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.accesses.sources._LONGEST_LINE", 8)

    def endless() -> Iterator[bytes]:
        yield b"12345678"  # as long as it may be
        yield b"9"
        yield b"rest of it\ngood\n"

    assert split(*endless())[-1] == b"good"
    assert b"123456789rest of it" not in split(*endless())


def test_a_container_that_ran_before_has_two_logs_the_older_first() -> None:
    status = {
        "initContainerStatuses": [{"name": "init"}],
        "containerStatuses": [
            {"name": "app", "lastState": {"terminated": {"exitCode": 1}}},
            {"name": "new", "lastState": {}},
        ],
    }
    assert list(_logs({"status": status})) == [("init", False), ("app", True), ("app", False), ("new", False)]


def row(**more: Any) -> dict[str, Any]:
    return {"at": AT, "address": "10.0.0.7", **more}


def test_a_row_may_leave_out_what_nobody_knows() -> None:
    assert _of_row(row()) == Access(AT, "10.0.0.7")
    assert _of_row(row(who=None, what="login", allowed=None)) == Access(AT, "10.0.0.7", what="login")
    assert _of_row(row(who=7, allowed=False)) == Access(AT, "10.0.0.7", "7", allowed=False)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"at": AT.replace(tzinfo=None)}, "at must be a timestamptz"),
        ({"at": AT.date()}, "at must be a timestamptz"),
        ({"at": None}, "at must be a timestamptz"),
        ({"allowed": "no"}, "allowed must be a boolean"),
        ({"allowed": 0}, "allowed must be a boolean"),
    ],
)
def test_a_row_that_can_not_be_meant_is_the_querys_fault(more: dict[str, Any], says: str) -> None:
    with pytest.raises(Misconfigured, match=says):
        _of_row(row(**more))
