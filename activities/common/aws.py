"""How AWS' failures become ours: the one place that turns the SDK's errors into typed ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn

from activities.common.errors import Conflict, Misconfigured, NotFound, RateLimited, Refused, Unavailable, unavailable
from activities.common.http import wait_asked
from libraries import aws_errors

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_THROTTLED = {
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttling",
    "ThrottledException",
    "ThrottlingException",
    "TooManyRequests",
    "TooManyRequestsException",
    "TransactionInProgressException",
}
"""Those that the SDK itself tries again (docs.aws.amazon.com/sdkref, "Retry behavior"), and what S3 calls it."""
_PASSING = {"RequestTimeout", "RequestTimeoutException"}
_MESSAGE_CHARACTERS = 300


@contextmanager
def failures(system: str) -> Iterator[None]:
    """Turn the SDK's failures into ours.

    Raises:
        Unavailable: no connection, no answer that can be read, 5xx.
        RateLimited: throttled, with the Retry-After that AWS asks for, if it does.
        Conflict: the target is being changed already.
        NotFound: it is not there.
        Misconfigured: no credentials, no region, or names that can't be meant.
        Refused: credentials that don't count, permissions, validation, quota.

    """
    try:
        yield
    except aws_errors.ClientError as error:
        _refuse(system, error)
    except (
        aws_errors.NoAuthTokenError,
        aws_errors.NoCredentialsError,
        aws_errors.PartialCredentialsError,
        aws_errors.ProfileNotFound,
        aws_errors.SSOError,
    ) as error:
        raise Misconfigured(f"{system}: no credentials ({type(error).__name__})") from None
    except (
        aws_errors.EndpointProviderError,
        aws_errors.InvalidRegionError,
        aws_errors.NoRegionError,
        aws_errors.ParamValidationError,
    ) as error:
        raise Misconfigured(f"{system}: region or names are wrong in settings ({type(error).__name__})") from None
    except aws_errors.BotoCoreError as error:
        unavailable(system, error)


def code(error: "ClientError") -> str:
    """Give AWS' name of an error."""
    return error.response.get("Error", {}).get("Code", "")


def status(error: "ClientError") -> int:
    """Give an answer's HTTP status."""
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def _refuse(system: str, error: "ClientError") -> NoReturn:
    answered = status(error)
    message = f"{system} answered {answered}"
    if not code(error).isdecimal():  # else it isn't AWS' own error, and its message a body that may not be shown
        said = error.response.get("Error", {}).get("Message", "")[:_MESSAGE_CHARACTERS]
        message = f"{message} {code(error)}" + (f": {said}" if said else "")
    if code(error) in _THROTTLED or answered == HTTPStatus.TOO_MANY_REQUESTS:
        raise RateLimited(message, next_retry_delay=wait_asked(_headers(error))) from None
    if code(error) in _PASSING or answered >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Unavailable(message) from None
    if answered == HTTPStatus.NOT_FOUND:
        raise NotFound(message) from None
    if answered == HTTPStatus.CONFLICT:
        raise Conflict(message) from None
    raise Refused(message) from None


def _headers(error: "ClientError") -> dict[str, str]:
    return error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
