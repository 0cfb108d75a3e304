"""What was looked at is said alike: a failure is what was seen, never a secret, and one that is not fine is refused."""

import json
import smtplib
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from temporalio.exceptions import ApplicationError

from starters.cli.findings import Finding, look, show
from starters.cli.people import Exit, Stop

URL = httpx.Request("GET", "https://prometheus.example/api?token=hunter2")


@pytest.mark.parametrize(
    ("failure", "seen"),
    [
        (ApplicationError("no access: forbidden"), "no access: forbidden"),
        (httpx.ConnectError("refused", request=URL), "https://prometheus.example/api: does not answer"),
        (httpx.ReadTimeout("slow", request=URL), "https://prometheus.example/api: no answer in time"),
        (ClientError({"Error": {"Code": "AccessDenied"}}, "ListBuckets"), "AWS says AccessDenied"),
        (NoCredentialsError(), "AWS: Unable to locate credentials"),
        (smtplib.SMTPAuthenticationError(535, b"hunter2"), "the mail server refuses: SMTPAuthenticationError"),
        (ValueError("not a number"), "not a number"),
    ],
)
def test_a_failure_is_what_was_seen(failure: Exception, seen: str) -> None:
    def at() -> tuple[bool, str]:
        raise failure

    found = look("it", at)
    assert found == Finding("it", fine=False, seen=seen)
    assert "hunter2" not in found.seen


def test_what_nobody_foresaw_is_not_taken_for_a_finding() -> None:
    def at() -> tuple[bool, str]:
        raise KeyError("a fault of ours")

    with pytest.raises(KeyError):
        look("it", at)


def test_all_is_shown_and_one_that_is_not_fine_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    found = [look("a", lambda: (True, "3 replicas")), look("b", lambda: (False, "no pods"))]
    with pytest.raises(Stop, match="1 of 2 found wrong") as refused:
        show(found, as_json=True, told="found wrong")
    assert refused.value.code is Exit.REFUSED
    told: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert [one["fine"] for one in told] == [True, False]
    show(found[:1], as_json=False, told="found wrong")
    assert "3 replicas" in capsys.readouterr().out
