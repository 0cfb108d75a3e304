"""What all pages share: settings, the connection to Temporal, who has signed in, and how a page is made."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, NoReturn
from urllib.parse import urlencode

import jinja2
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from audit.text import MARKS, lasted, shown, titled
from starters.steering.listing import Listed, until
from starters.steering.session import Session
from starters.web.visitor import Sessions, Tokens, Visitor


def _safe(value: Any) -> Any:
    """Show what can't be seen or would turn text around; Jinja then escapes it (ARCHITECTURE, rule 14)."""
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _at(moment: datetime | None, form: str = "short") -> Markup:
    """Give a time in UTC; the page's script puts the viewer's own zone before it."""
    if moment is None:
        return Markup("")
    there = moment.astimezone(UTC)
    text = f"{there:%H:%M} UTC" if form == "clock" else f"{there:%Y-%m-%d %H:%M} UTC"
    return Markup('<time datetime="{}" data-form="{}">{}</time>').format(f"{there:%Y-%m-%dT%H:%M:%S.%fZ}", form, text)


def _left(moment: datetime | None) -> Markup:
    """Give a time that is counted down to."""
    if moment is None:
        return Markup("")
    there = moment.astimezone(UTC)
    return Markup('<time class="countdown" datetime="{}" data-form="left">until {} UTC</time>').format(
        f"{there:%Y-%m-%dT%H:%M:%S.%fZ}", f"{there:%H:%M:%S}"
    )


def _span(value: timedelta | float | None) -> str:
    return "" if value is None else lasted(value if isinstance(value, timedelta) else timedelta(seconds=value))


def run_path(workflow_id: str, run_id: str = "", *, base: str = "/run") -> str:
    """Give a run's address on this page."""
    query = {"id": workflow_id, **({"run": run_id} if run_id else {})}
    return f"{base}?{urlencode(query)}"


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("starters.web", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_safe,
    )
    made.filters |= {"at": _at, "left": _left, "span": _span}
    made.globals |= {"run_path": run_path, "titled": titled, "until": until, "MARKS": MARKS}
    return made


ENVIRONMENT = _environment()


class _Lines:
    """Writes the lines of lists; what stands in many lists, or stays as it is, is written once."""

    _MOST = 10_000

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Listed, Markup]] = {}

    def __call__(self, row: Listed) -> Markup:
        kept = self._kept.get(row.run_id)
        if kept is not None and (kept[0] is row or kept[0] == row):
            return kept[1]
        if len(self._kept) >= self._MOST:
            self._kept.clear()
        written = Markup(ENVIRONMENT.get_template("_row.html.j2").render(row=row))  # noqa: S704  it has escaped it
        self._kept[row.run_id] = (row, written)
        return written


ENVIRONMENT.globals["line"] = _Lines()


@dataclass(frozen=True)
class Part:
    """A piece of a page that is replaced when it changes."""

    html: str
    mark: str = field(default="")

    @classmethod
    def of(cls, html: str) -> "Part":
        """Take a piece, and mark it by what is in it."""
        return cls(html, hashlib.sha256(html.encode()).hexdigest()[:16])


class SignInFirst(Exception):  # noqa: N818  no error: the way to a page
    """Nobody has signed in."""


@dataclass(frozen=True)
class Place:
    """All of it."""

    session: Session
    tokens: Tokens
    sessions: Sessions
    base_url: str

    def visitor(self, request: Request) -> Visitor:
        """Say who asks.

        Raises:
            SignInFirst: nobody has signed in.

        """
        found = self.sessions.of(request)
        if found is None:
            raise SignInFirst
        return found

    def shown(
        self, request: Request, template: str, visitor: Visitor | None, *, status: int = HTTPStatus.OK, **values: Any
    ) -> Response:
        """Answer with a page."""
        page = ENVIRONMENT.get_template(template).render(
            visitor=visitor,
            csrf=self.tokens.csrf(visitor.session) if visitor else "",
            path=request.url.path,
            now=datetime.now(UTC),
            **values,
        )
        return HTMLResponse(page, status)


def not_there(sentence: str) -> NoReturn:
    """Answer 404.

    Raises:
        HTTPException: always.

    """
    raise HTTPException(HTTPStatus.NOT_FOUND, sentence)


def part(template: str, **values: Any) -> Part:
    """Make a piece of a page, the same for everybody."""
    return Part.of(ENVIRONMENT.get_template(template).render(**values))
