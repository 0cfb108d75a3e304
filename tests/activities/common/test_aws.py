"""What the AWS SDK says becomes a typed failure that tells whether another attempt can help."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from activities.common.aws import failures
from activities.common.errors import (
    ActivityFailure,
    Conflict,
    Misconfigured,
    NotFound,
    RateLimited,
    Refused,
    Unavailable,
)
from sandbox.aws import CLUSTER, eks


def test_without_a_region(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(Misconfigured, match="NoRegionError"), failures("EKS"):
        boto3.Session().client("eks")


def test_what_the_sdk_itself_refuses_is_a_wrong_setting():
    with pytest.raises(Misconfigured, match="ParamValidationError"), failures("EKS"):
        eks("http://127.0.0.1:1").describe_nodegroup(clusterName=CLUSTER)


def answered(status: int, code: str = "", message: str = "", **headers: str) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
    }
    return ClientError(response, "DescribeThing")


@pytest.mark.parametrize(
    ("status", "code", "failure"),
    [
        (503, "SlowDown", RateLimited),
        (400, "TransactionInProgressException", RateLimited),
        (429, "Whatever", RateLimited),
        (400, "RequestTimeout", Unavailable),
        (500, "InternalError", Unavailable),
        (499, "ClosedRequest", Refused),
        (404, "NoSuchBucket", NotFound),
        (409, "OperationAborted", Conflict),
        (403, "AccessDenied", Refused),
    ],
)
def test_an_answer_has_one_meaning_whichever_service_gives_it(
    status: int, code: str, failure: type[ActivityFailure]
) -> None:
    with pytest.raises(ActivityFailure) as caught, failures("S3"):
        raise answered(status, code, "why")
    assert type(caught.value) is failure
    assert caught.value.message == f"S3 answered {status} {code}: why"


def test_a_message_that_is_not_said_leaves_no_colon_and_a_body_of_others_is_not_shown() -> None:
    with pytest.raises(Refused) as caught, failures("S3"):
        raise answered(403, "AccessDenied")
    assert caught.value.message == "S3 answered 403 AccessDenied"
    with pytest.raises(Unavailable) as caught_of_proxy, failures("S3"):
        raise answered(502, "502", "<html>internal-host.example</html>")
    assert caught_of_proxy.value.message == "S3 answered 502"


def test_the_wait_that_aws_asks_for_is_kept() -> None:
    with pytest.raises(RateLimited) as caught, failures("S3"):
        raise answered(503, "SlowDown", **{"retry-after": "7"})
    assert caught.value.next_retry_delay == timedelta(seconds=7)


def test_a_connection_that_breaks_is_told_by_its_kind_alone() -> None:
    with pytest.raises(Unavailable) as caught, failures("S3"):
        raise ReadTimeoutError(endpoint_url="http://user:secret@host")
    assert caught.value.message == "S3 did not answer (ReadTimeoutError)"
