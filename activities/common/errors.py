"""Every failure an activity raises, and whether another attempt can help.

Temporal retries what it gets unless told otherwise, so each kind says it itself. Messages are for the person
on call: what failed, and what to do next. They never carry credentials or response bodies.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NoReturn

from temporalio.exceptions import ApplicationError

from records_schema.refusals import broken_rule


class ActivityFailure(ApplicationError):
    """Base of the typed failures; the type is the class name, so histories stay readable."""

    retryable = True

    def __init__(self, message: str, *, next_retry_delay: timedelta | None = None) -> None:
        super().__init__(
            message,
            type=type(self).__name__,
            non_retryable=not self.retryable,
            next_retry_delay=next_retry_delay,
        )


class Unavailable(ActivityFailure):
    """The other side did not answer, or answered with a passing fault; another attempt can help."""


class RateLimited(ActivityFailure):
    """The other side asked us to slow down; `next_retry_delay` is what it asked for."""


class Conflict(ActivityFailure):
    """Somebody changed the target between read and write; another attempt reads it again."""


class NotFound(ActivityFailure):
    """The named target does not exist."""

    retryable = False


class Refused(ActivityFailure):
    """The other side understood and refused: permissions, validation, quota."""

    retryable = False


class JustStarting(Refused):
    """A run has not looked up its settings yet, which takes it some milliseconds: the same word counts then."""


class Misconfigured(ActivityFailure):
    """Settings are missing or wrong for what was asked."""

    retryable = False


class InvalidInput(ActivityFailure):
    """What a person sent cannot be meant; the message names the field and never its value."""

    retryable = False


class UnknownService(InvalidInput):
    """The request names a service that the catalogue does not have."""


@contextmanager
def refusing_data(system: str) -> Iterator[None]:
    """Around everything that sends SQL: what the database can't store, and never will, is refused.

    Raises:
        Refused: names the rule that the data breaks, and not the data.

    """
    try:
        yield
    except Exception as error:
        rule = broken_rule(error)
        if rule is None:
            raise
        raise Refused(
            f"{system} refuse it: {rule}" if system.endswith("s") else f"{system} refuses it: {rule}"
        ) from None


def unavailable(system: str, error: BaseException) -> NoReturn:
    """Raise `Unavailable` for a connection-level error, naming only its class: texts can hold URLs and secrets."""
    raise Unavailable(f"{system} did not answer ({type(error).__name__})") from None
