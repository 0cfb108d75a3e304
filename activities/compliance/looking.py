"""Looking at a source that may not answer: then that is told, and the others are looked at all the same."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from activities.common import aws
from activities.common.errors import ActivityFailure, Misconfigured, NotFound, Unavailable
from activities.database.servers.servers import Databases, OnServer
from audit.compliance import Gap
from audit.signer import SigningError
from audit.store_connection import StoreError

if TYPE_CHECKING:
    from libraries import kubernetes

AwsService = Literal["ec2", "iam", "rds", "s3", "secretsmanager"]
_Row = TypeVar("_Row")
_TRIES = 2
_CHARACTERS = 300


def looked(exhibit: str, source: str, look: Callable[[], Iterable[_Row]], gaps: list[Gap]) -> list[_Row]:
    """Give what a source answers; nothing, and a gap, where it doesn't. What may pass is tried once more."""
    for last in range(_TRIES):
        try:
            return list(look())
        except ActivityFailure as error:
            if error.retryable and last < _TRIES - 1:
                continue
            why = error.message.removeprefix(f"{source}: ")[:_CHARACTERS]
            mendable = not isinstance(error, NotFound)
            gaps.append(Gap(exhibit=exhibit, source=source, why=why, mendable=mendable))
            break
        except (KeyError, TypeError, ValueError) as error:
            why = f"it answered what can't be read ({type(error).__name__})"
            gaps.append(Gap(exhibit=exhibit, source=source, why=why))
            break
    return []


@dataclass(frozen=True)
class Around:
    """The systems that are looked at, as settings reach them."""

    cluster: "Callable[[], kubernetes.ApiClient]"
    databases: Callable[[], Databases]
    servers: Mapping[str, list[str]]
    """Database → its servers."""

    client: Callable[[AwsService], Any]
    """Gives a client of one of AWS' services."""

    def all_servers(self) -> list[OnServer]:
        """Give every server of every database."""
        return [OnServer(database=name, server=one) for name, servers in self.servers.items() for one in servers]


@contextmanager
def failures() -> Iterator[None]:
    """Turn the failures of records, keys and stores into ours.

    Raises:
        Unavailable, Misconfigured, and what `aws.failures` says.

    """
    try:
        with aws.failures("S3"):
            yield
    except (StoreError, SigningError) as error:
        raise (Unavailable if error.passing else Misconfigured)(str(error)) from None
