"""How a service behind HTTP can say no, and what each way means for a step."""

from datetime import timedelta

import httpx
import pytest
from pydantic import SecretStr

from activities.common.errors import ActivityFailure, Misconfigured, NotFound, RateLimited, Refused, Unavailable
from activities.common.http import send

SECRET = SecretStr("hunter2")


def sent(answer: httpx.Response) -> httpx.Response:
    return send("the service", lambda: answer, secret=SECRET, sentence=lambda said: said.text)


@pytest.mark.parametrize(
    ("status", "headers", "raises"),
    [
        (401, {}, Misconfigured),
        (403, {}, Refused),
        (403, {"Retry-After": "60"}, RateLimited),
        (403, {"X-RateLimit-Remaining": "0"}, RateLimited),
        (403, {"X-RateLimit-Remaining": "17"}, Refused),
        (404, {}, NotFound),
        (408, {}, Unavailable),
        (410, {}, Refused),
        (420, {}, RateLimited),
        (422, {}, Refused),
        (425, {}, Unavailable),
        (429, {}, RateLimited),
        (500, {}, Unavailable),
        (503, {"Retry-After": "1"}, Unavailable),
        (301, {"Location": "/elsewhere"}, Refused),
    ],
)
def test_what_an_answer_means(status: int, headers: dict[str, str], raises: type[ActivityFailure]) -> None:
    with pytest.raises(raises) as found:
        sent(httpx.Response(status, headers=headers, text="no: hunter2"))
    assert type(found.value) is raises
    assert "hunter2" not in str(found.value)


def test_the_wait_that_a_limit_asks_for_is_kept() -> None:
    with pytest.raises(RateLimited) as found:
        sent(httpx.Response(403, headers={"Retry-After": "60"}))
    assert found.value.next_retry_delay == timedelta(seconds=60)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_success_is_given(status: int) -> None:
    assert sent(httpx.Response(status)).status_code == status
