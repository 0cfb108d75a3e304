"""What is made when it is first used: clients, and the systems whose activities act through them.

A worker that starts takes work before it has loaded the libraries of all outside systems. Whoever needs one first
makes it, in whatever thread; whoever comes meanwhile waits for it.
"""

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from libraries import uninterrupted

Activity = Callable[..., Any]
_Made = TypeVar("_Made")


class Later(Generic[_Made]):
    """Makes something once, when it is first asked for; where that fails, the next one who asks tries again."""

    def __init__(self, make: Callable[[], _Made]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: list[_Made] = []

    @property
    def made(self) -> bool:
        """Whether it has been made."""
        return bool(self._made)

    def __call__(self) -> _Made:
        """Give it."""
        if not self._made:
            with self._lock:
                if not self._made:
                    with uninterrupted():  # half a client would stay as it is for as long as the worker lives
                        self._made.append(self._make())
        return self._made[0]


def activities_of(kind: type, system: Callable[[], Any]) -> list[Activity]:
    """Give the activities of a kind of system; the first one that runs makes the system."""
    methods = (method for _, method in inspect.getmembers(kind, inspect.isfunction))
    return [_waiting(method, system) for method in methods if hasattr(method, "__temporal_activity_definition")]


def _waiting(method: Activity, system: Callable[[], Any]) -> Activity:
    name = method.__name__
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def run_async(*args: Any) -> Any:
            return await getattr(await asyncio.to_thread(system), name)(*args)

        return _bound(run_async, method)

    @functools.wraps(method)
    def run(*args: Any) -> Any:
        return getattr(system(), name)(*args)

    return _bound(run, method)


def _bound(wrapper: Activity, method: Activity) -> Activity:
    """Show the method's parameters but its `self`, of which the SDK would warn that nobody gives it."""
    signature = inspect.signature(method)
    _, *parameters = signature.parameters.values()
    wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return wrapper
