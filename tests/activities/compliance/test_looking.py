"""A source that does not answer is a gap, and no reason not to look at the others."""

from collections.abc import Iterator

import pytest

from activities.common.errors import Misconfigured, NotFound, RateLimited, Refused, Unavailable
from activities.compliance.looking import Around, failures, looked
from activities.database.servers.servers import Databases
from audit.compliance import Gap
from audit.signer import SigningError
from audit.store_connection import StoreError


class Source:
    """Fails in these ways, one each time it is asked; then it answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked = 0

    def look(self) -> Iterator[str]:
        self.asked += 1
        yield "half of it"
        if self.errors:
            raise self.errors.pop(0)
        yield "the rest"


def seen(source: Source) -> tuple[list[str], list[Gap]]:
    gaps: list[Gap] = []
    return looked("review.csv", "AWS IAM", source.look, gaps), gaps


def test_what_may_pass_is_tried_once_more_and_given_once() -> None:
    source = Source(Unavailable("AWS IAM did not answer"))
    assert seen(source) == (["half of it", "the rest"], [])
    assert source.asked == 2


@pytest.mark.parametrize(
    ("errors", "asked", "why", "mendable"),
    [
        ([Unavailable("AWS IAM: no answer"), RateLimited("AWS IAM: slower")], 2, "slower", True),
        ([Refused("AWS IAM: denied")], 1, "denied", True),
        ([NotFound("AWS IAM: there is none")], 1, "there is none", False),
        ([Refused("x" * 1000)], 1, "x" * 300, True),
        ([KeyError("secret")], 1, "it answered what can't be read (KeyError)", True),
        ([ValueError("secret")], 1, "it answered what can't be read (ValueError)", True),
    ],
)
def test_what_does_not_answer_is_a_gap(errors: list[Exception], asked: int, why: str, *, mendable: bool) -> None:
    source = Source(*errors)
    rows, (gap,) = seen(source)
    assert (rows, source.asked) == ([], asked)
    assert (gap.exhibit, gap.source, gap.why, gap.mendable) == ("review.csv", "AWS IAM", why, mendable)


def test_a_fault_of_our_own_is_no_gap() -> None:
    with pytest.raises(ZeroDivisionError):
        seen(Source(ZeroDivisionError()))


@pytest.mark.parametrize("kind", [StoreError, SigningError])
@pytest.mark.parametrize(("passing", "failure"), [(True, Unavailable), (False, Misconfigured)])
def test_records_and_keys_fail_as_other_systems_do(
    kind: type[StoreError | SigningError], failure: type[Exception], *, passing: bool
) -> None:
    with pytest.raises(failure, match="why"), failures():
        raise kind("why", passing=passing)


def test_every_server_of_every_database_is_looked_at() -> None:
    around = Around(lambda: 1 / 0, lambda: Databases({}), {"main": ["a", "b"], "other": ["a"]}, lambda _: None)  # type: ignore[arg-type,return-value]
    assert [(one.database, one.server) for one in around.all_servers()] == [
        ("main", "a"),
        ("main", "b"),
        ("other", "a"),
    ]
