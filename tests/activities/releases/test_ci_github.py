"""CI's word on a version: from our records, and from GitHub."""

import json
import secrets
import time
from datetime import timedelta

import httpx
import pytest
import structlog
from pydantic import SecretStr
from starlette.responses import JSONResponse, PlainTextResponse, Response

from activities.common.errors import ActivityFailure, InvalidInput, Misconfigured, RateLimited, Refused, Unavailable
from activities.releases.ci import CiStatus
from activities.releases.ci_github import GitHubCi
from tests.activities.contracts.github import GitHubContract
from tests.activities.contracts.serving import Misbehaviour
from tests.activities.releases.ci_requests import REPOSITORY, V, of


def test_all_checks_passed(github: GitHubCi, service: GitHubContract) -> None:
    service.run(V, "lint")
    service.run(V, "docs", "skipped")
    service.run(V, "coverage", "neutral")
    service.status(V, "ci/legacy", "success")
    assert github.status(of()) == CiStatus(
        verdict="passed", detail="2 checks", url=f"https://github.example/{REPOSITORY}/runs/1"
    )


@pytest.mark.parametrize(
    "conclusion", ["failure", "timed_out", "cancelled", "action_required", "stale", "startup_failure", "some_new_one"]
)
def test_one_check_that_did_not_succeed_is_enough(github: GitHubCi, service: GitHubContract, conclusion: str) -> None:
    service.run(V, "lint")
    service.run(V, "slow", None, "in_progress")
    service.run(V, "unit\ttests", conclusion)
    found = github.status(of())
    assert (found.verdict, found.detail) == ("failed", "unittests")
    assert found.url.endswith("/runs/3")


@pytest.mark.parametrize("status", ["queued", "in_progress", "waiting", "requested", "pending"])
def test_a_check_that_has_not_ended_is_running(github: GitHubCi, service: GitHubContract, status: str) -> None:
    service.run(V, "lint")
    service.run(V, "e2e", None, status)
    assert str(github.status(of())) == f"running: e2e https://github.example/{REPOSITORY}/runs/2"


@pytest.mark.parametrize(
    ("state", "verdict"), [("pending", "running"), ("failure", "failed"), ("error", "failed"), ("success", "passed")]
)
def test_commit_statuses_count_like_check_runs(
    github: GitHubCi, service: GitHubContract, state: str, verdict: str
) -> None:
    service.run(V, "lint")
    service.status(V, "ci/legacy", state)
    assert github.status(of()).verdict == verdict


def test_checks_on_later_pages_count(github: GitHubCi, service: GitHubContract) -> None:
    for number in range(230):
        service.run(V, f"shard {number}")
    service.run(V, "last", "failure")
    assert github.status(of()).detail == "last"
    assert sum("check-runs" in url for url in service.asked) == 3


def test_many_failures_are_named_in_part(github: GitHubCi, service: GitHubContract) -> None:
    for number in range(8):
        service.run(V, f"{number}-{'x' * 200}", "failure")
    detail = github.status(of()).detail
    assert detail.endswith(" and 3 more")
    assert len(detail) < 450


def test_more_checks_than_are_read_are_not_taken_for_passed(github: GitHubCi, service: GitHubContract) -> None:
    for number in range(1001):
        service.run(V, f"shard {number}")
    with pytest.raises(Refused, match="more than 1000 checks"):
        github.status(of())


@pytest.mark.parametrize("version", ["v9", "feature/x", "../../../user", "%2e%2e", "ä b?c#d"])
def test_a_version_that_github_does_not_know_is_unknown(
    github: GitHubCi, service: GitHubContract, version: str
) -> None:
    service.run(V, "lint")
    found = github.status(of(version))
    assert found.verdict == "unknown"
    assert found.detail.startswith(f"GitHub has no such version in {REPOSITORY}")
    assert all(f"/repos/{REPOSITORY}/commits/" in url for url in service.asked)


def test_a_ref_with_a_slash_is_one_ref(github: GitHubCi, service: GitHubContract) -> None:
    service.run("release/1.2", "lint")
    assert github.status(of("release/1.2")).verdict == "passed"


def test_a_version_without_checks_is_unknown(github: GitHubCi, service: GitHubContract) -> None:
    service.runs[V] = []
    assert github.status(of()) == CiStatus(verdict="unknown", detail="no checks")
    service.run(V, "docs", "skipped")
    assert github.status(of()) == CiStatus(verdict="unknown", detail="every check was skipped")


def test_a_repository_we_may_not_see_is_unknown_too(github: GitHubCi) -> None:
    assert "or the token may not see the repository" in github.status(of(repository="tensafe/other")).detail


def test_a_renamed_repository_is_followed(github: GitHubCi, service: GitHubContract) -> None:
    service.renamed_from = "tensafe/old"
    service.run(V, "lint")
    assert github.status(of(repository="tensafe/old")).verdict == "passed"


@pytest.mark.parametrize("repository", [None, "", "tensafe", "a/b/c", "../x", "x/..", "a/b?c"])
def test_a_service_without_a_repository_is_misconfigured(github: GitHubCi, repository: str | None) -> None:
    with pytest.raises(Misconfigured, match=r"release\.repository of tensafe-server"):
        github.status(of(repository=repository))


@pytest.mark.parametrize("version", ["", ".", ".."])
def test_what_cannot_be_a_ref_is_not_asked(github: GitHubCi, service: GitHubContract, version: str) -> None:
    with pytest.raises(InvalidInput):
        github.status(of(version))
    assert service.asked == []


SPENT = {"x-ratelimit-remaining": "0"}


@pytest.mark.parametrize(
    ("status", "headers", "reset_in", "seconds"),
    [
        (429, {"retry-after": "17"}, None, 17),
        (403, {"retry-after": "30"}, None, 30),
        (403, SPENT, 120, 120),
        (429, SPENT, 120, 120),
        (403, SPENT, 3000, 600),
        (403, SPENT, -5, 1),
        (403, {**SPENT, "x-ratelimit-reset": "soon"}, None, 60),
        (429, {}, None, 60),
    ],
)
def test_github_says_how_long_to_wait(
    github: GitHubCi, faults: Misbehaviour, *, status: int, headers: dict[str, str], reset_in: int | None, seconds: int
) -> None:
    reset = {} if reset_in is None else {"x-ratelimit-reset": str(int(time.time()) + reset_in)}
    faults.answer_instead("/check-runs", PlainTextResponse("", status, headers={**headers, **reset}))
    with pytest.raises(RateLimited) as caught:
        github.status(of())
    assert caught.value.next_retry_delay is not None
    late = timedelta(seconds=30 if reset_in == seconds else 0)  # counted from when the answer is read
    assert timedelta(0) <= timedelta(seconds=seconds) - caught.value.next_retry_delay <= late


def test_a_secondary_limit_is_known_by_its_sentence(github: GitHubCi, faults: Misbehaviour) -> None:
    said = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}
    faults.answer_instead("/check-runs", JSONResponse(said, 403))
    with pytest.raises(RateLimited) as caught:
        github.status(of())
    assert caught.value.next_retry_delay == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("response", "failure"),
    [
        (JSONResponse({"message": "Resource not accessible by personal access token"}, 403), Refused),
        (PlainTextResponse("<html>", 502), Unavailable),
        (PlainTextResponse("<html>", 200), Unavailable),
        (JSONResponse(["odd"]), Unavailable),
        (JSONResponse({"total_count": 1, "check_runs": [{"name": 1}]}), Unavailable),
    ],
)
def test_its_other_answers_are_typed(
    github: GitHubCi,
    service: GitHubContract,
    faults: Misbehaviour,
    response: Response,
    failure: type[ActivityFailure],
) -> None:
    service.run(V, "lint")
    faults.answer_instead("/check-runs", response)
    with pytest.raises(ActivityFailure) as caught:
        github.status(of())
    assert type(caught.value) is failure


def test_a_fault_after_the_first_page_is_no_verdict(
    github: GitHubCi, service: GitHubContract, faults: Misbehaviour
) -> None:
    service.run(V, "lint")
    faults.lose_answer("/status")
    with pytest.raises(Unavailable, match="GitHub did not answer"):
        github.status(of())


def test_the_token_is_never_shown(base_url: str, service: GitHubContract, faults: Misbehaviour) -> None:
    wrong = secrets.token_hex(16)
    with httpx.Client(trust_env=False) as http, structlog.testing.capture_logs() as logs:
        github = GitHubCi(http, SecretStr(wrong), base_url)
        with pytest.raises(Misconfigured) as unaccepted:
            github.status(of())
        faults.answer_instead("/check-runs", JSONResponse({"message": f"no {wrong}"}, 403))
        with pytest.raises(Refused) as refused:
            github.status(of())
    for error in (unaccepted, refused):
        assert wrong not in repr(error.value) + json.dumps(logs) + repr(error.value.__cause__)
    assert all(wrong not in url for url in service.asked)
