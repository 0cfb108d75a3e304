"""The one way to the terminal: a run's words may be anybody's."""

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

from audit.text import shown


class _Shown:
    """What is printed, with nothing in it that a terminal obeys."""

    def __init__(self, renderable: ConsoleRenderable) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Let it lay itself out, and make its text safe."""
        for text, style, control in console.render(self._renderable, options):
            safe = text if control else shown(text)
            # A link's address goes out as it is, in a sequence of its own.
            linked = style is not None and style.link is not None and shown(style.link) != style.link
            yield Segment(safe, style.update_link(None) if linked and style else style, control)


class _Door(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Wrap everything that is printed."""
        return [_Shown(renderable) for renderable in renderables]


def terminal(*, stderr: bool = False) -> Console:
    """Make a console behind that door."""
    made = Console(stderr=stderr, highlight=False)
    made._width = None  # noqa: SLF001  COLUMNS as it is when something is said, not when the console is made
    made.push_render_hook(_Door())
    return made
