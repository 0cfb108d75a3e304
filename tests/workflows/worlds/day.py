"""A company's day: real records and its chat in them, and around them a service as the test sets it up."""

import functools
from collections.abc import Callable
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.catalogue.daily import DailyPolicy
from tests.workflows.worlds.company import Company
from tests.workflows.worlds.world import World, instead


class Day(Company):
    """The service's cluster and metrics are those of a `World`; what is in `down` does not answer."""

    world: World
    down: set[str]

    def __init__(self, *parts: Any, daily: DailyPolicy | None = None) -> None:
        super().__init__(*parts)
        self.world = World()
        self.down = set()
        self.service = self.world.service.model_copy(
            update={"daily": daily or DailyPolicy(), "customers": self.service.customers}
        )

    def activities(self) -> list[Callable[..., Any]]:
        outside = [one for one in self.world._reads() if not _name(one).startswith("records.")]
        return [self._unless_down(one) for one in instead(super().activities(), *outside)]

    def messages(self, channel: str = "#ops") -> list[str]:
        """Read what was said in a channel."""
        query = "SELECT text FROM runbooks.messages WHERE channel = %s ORDER BY id"
        return [text for (text,) in self.sql.execute(query, (channel,))]

    def _unless_down(self, method: Callable[..., Any]) -> Callable[..., Any]:
        name = _name(method)

        @functools.wraps(method)
        def run(*given: Any) -> Any:
            if name in self.down or name.partition(".")[0] in self.down:
                raise ApplicationError(f"{name} did not answer", type="Unavailable")
            return method(*given)

        return run


def _name(method: Callable[..., Any]) -> str:
    return str(activity._Definition.must_from_callable(method).name)
