"""How the command line speaks to people: sentences instead of tracebacks, and exit codes for scripts."""

import asyncio
import functools
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, cast

import typer

from starters.steering.errors import (
    Decided,
    NoSuchRun,
    NothingAsked,
    Over,
    Refused,
    SteeringError,
    Unreachable,
    WrongChoice,
    WrongInput,
    WrongQuestion,
)

if TYPE_CHECKING:
    from rich.console import Console

_P = ParamSpec("_P")


class _Later:
    """A console that is made when something is first said: who only asks for help needs none."""

    _made: "Console | None" = None

    def __init__(self, *, stderr: bool) -> None:
        self.__dict__["_stderr"] = stderr

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._real(), name, value)

    def __enter__(self) -> "Console":
        return self._real().__enter__()

    def __exit__(self, *raised: object) -> None:
        self._real().__exit__(*raised)

    def _real(self) -> "Console":
        if self._made is None:
            from starters.cli.terminal import terminal  # noqa: PLC0415  rich takes a tenth of a second

            self.__dict__["_made"] = terminal(stderr=self._stderr)
        assert self._made is not None
        return self._made


console = cast("Console", _Later(stderr=False))
complaints = cast("Console", _Later(stderr=True))


def somebody_there() -> bool:
    """Tell whether a question would be read and answered by a person."""
    return sys.stdin.isatty() and complaints.is_terminal


def confirmed(question: str) -> bool:
    """Ask, and give whether it was agreed to; Ctrl-C and Ctrl-D are a no."""
    with _heard():
        try:
            return typer.confirm(question, default=False, err=True)
        except typer.Abort:
            sys.stderr.write("\n")
            return False


def answered(question: str, **options: Any) -> str:
    """Ask for a text.

    Raises:
        KeyboardInterrupt: by Ctrl-C or Ctrl-D; nothing has been done.

    """
    with _heard():
        try:
            return str(typer.prompt(question, err=True, **options))
        except typer.Abort:
            raise KeyboardInterrupt from None


@contextmanager
def _heard() -> Iterator[None]:
    """Let Ctrl-C end a question: asyncio's own handler would wait for the answer first."""
    if threading.current_thread() is not threading.main_thread():  # which no signal reaches
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Exit(IntEnum):
    """Exit codes; `runbooks --help` lists them."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_FOUND = 4
    WRONG_CHOICE = 5
    WRONG_QUESTION = 6
    DECIDED = 7
    NOTHING_ASKED = 8
    OVER = 9
    INTERRUPTED = 130


_EXITS: dict[type[SteeringError], Exit] = {  # what is more special stands first
    WrongChoice: Exit.WRONG_CHOICE,
    WrongQuestion: Exit.WRONG_QUESTION,
    Decided: Exit.DECIDED,
    NothingAsked: Exit.NOTHING_ASKED,
    Over: Exit.OVER,
    Refused: Exit.REFUSED,
    WrongInput: Exit.USAGE,
    Unreachable: Exit.UNREACHABLE,
    NoSuchRun: Exit.NOT_FOUND,
}
EXIT_CODES = (
    "Exit codes: 0 done · 1 the run refused, failed, or ended with something else than what was asked · "
    "2 wrong input, arguments or settings, nothing was sent · 3 Temporal, the run's workers or the records don't "
    "answer · 4 no such run · 5 the choice isn't offered · 6 that question isn't asked · 7 it is decided already · "
    "8 nothing is asked · 9 the run is over · 130 interrupted."
)


class Stop(Exception):  # noqa: N818  not every end is an error
    """Ends a command with a sentence."""

    def __init__(self, code: Exit, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def command(body: Callable[_P, Coroutine[Any, Any, None]]) -> Callable[_P, None]:
    """Make an async function a command: what goes wrong is said in one sentence on stderr."""

    @functools.wraps(body)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            asyncio.run(body(*args, **kwargs))
        except Stop as stop:
            end(stop.code, str(stop))
        except Exception as error:
            known = _explained(error)
            if known is None:
                raise
            end(*known)
        except KeyboardInterrupt:
            # `main` says so, as it does where Ctrl-C has met typer itself.
            raise typer.Exit(Exit.INTERRUPTED) from None

    return run


def end(code: Exit, sentence: str) -> NoReturn:
    """Leave the command."""
    complaints.print(sentence, style="red", markup=False, soft_wrap=True)
    raise typer.Exit(code)


def _explained(error: Exception) -> tuple[Exit, str] | None:
    """Say what a known error means; asked for after the fact, since whatever raised it has imported what it takes."""
    for kind, code in _EXITS.items():
        if isinstance(error, kind):
            return code, str(error)

    from workers.sections import UnreadableSecret  # noqa: PLC0415
    from workers.settings import SettingsError  # noqa: PLC0415

    if isinstance(error, SettingsError | UnreadableSecret):
        return Exit.USAGE, str(error)

    from temporalio.service import RPCError, RPCStatusCode  # noqa: PLC0415

    from workers.codec import Undecipherable  # noqa: PLC0415

    if isinstance(error, Undecipherable):
        return Exit.USAGE, str(error)
    if not isinstance(error, RPCError):
        return None
    if error.status in {RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}:
        return Exit.UNREACHABLE, "Temporal has stopped answering: is it still running?"
    return Exit.REFUSED, f"Temporal refused: {error.message}"
