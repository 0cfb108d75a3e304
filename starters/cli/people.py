"""How the command line speaks to people: sentences instead of tracebacks, and exit codes for scripts."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from enum import IntEnum
from typing import Any, NoReturn, ParamSpec

import typer
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

from starters.steering.errors import NoSuchRun, Refused, SteeringError, Unreachable, WrongInput

_P = ParamSpec("_P")


class _Shown:
    """What is printed, with nothing in it that a terminal obeys."""

    def __init__(self, renderable: ConsoleRenderable) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Let it lay itself out, and make its text safe."""
        from audit.text import shown  # noqa: PLC0415

        for text, style, control in console.render(self._renderable, options):
            safe = text if control else shown(text)
            # A link's address goes out as it is, in a sequence of its own.
            linked = style is not None and style.link is not None and shown(style.link) != style.link
            yield Segment(safe, style.update_link(None) if linked and style else style, control)


class _Door(RenderHook):
    """The one way to the terminal: a run's words may be anybody's."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Wrap everything that is printed."""
        return [_Shown(renderable) for renderable in renderables]


def _terminal(*, stderr: bool = False) -> Console:
    made = Console(stderr=stderr, highlight=False)
    made.push_render_hook(_Door())
    return made


console = _terminal()
complaints = _terminal(stderr=True)


class Exit(IntEnum):
    """Exit codes; `runbooks --help` lists them."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_FOUND = 4
    INTERRUPTED = 130


_EXITS: dict[type[SteeringError], Exit] = {
    Refused: Exit.REFUSED,
    WrongInput: Exit.USAGE,
    Unreachable: Exit.UNREACHABLE,
    NoSuchRun: Exit.NOT_FOUND,
}
EXIT_CODES = (
    "Exit codes: 0 done · 1 the run refused, or failed · 2 wrong input, arguments or settings, nothing was sent · "
    "3 Temporal, the run's workers or the records don't answer · 4 no such run · 130 interrupted."
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
            end(Exit.INTERRUPTED, "interrupted; what has been started goes on")

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

    from workers.settings import SettingsError  # noqa: PLC0415

    if isinstance(error, SettingsError):
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
