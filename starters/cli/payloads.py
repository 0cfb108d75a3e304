"""Says what a payload would start, and why, by what the webhook itself asks."""

import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from activities.records.alerts import Alert
from audit.text import counted
from starters.cli.configured import load_settings
from starters.cli.facts import as_document
from starters.cli.people import Exit, Stop, console
from starters.sources import alertmanager, registry
from starters.sources.port import Post, Said, Unreadable
from starters.steering.deciding import Unrouted, decide
from starters.steering.mapping import Flaw, Ignored
from starters.steering.routes import Routes, load
from workers.settings import Settings, explain
from workers.source_settings import ALERTMANAGER


def explain_payload(file: Path, source: str, headers: Sequence[str], *, as_json: bool) -> None:
    """Read a payload as the webhook does, but for its signature, and show what it would start.

    Raises:
        SettingsError: settings or rules are wrong.
        Stop: there is no such source; the payload can't be read; it starts and ends nothing.

    """
    settings = load_settings()
    rules = load(settings.path(settings.webhook.routes), settings.services, settings.webhook.sources)
    said = _read(file, source, headers, settings, rules)
    found = 0
    told = []
    for number, item in enumerate(said.items):
        lines = [*_explained(item, rules, settings)]
        taken = isinstance(item, Alert) and lines[-1][0] == "→"
        found += taken
        told.append({"taken": taken, "said": lines})
        for line in () if as_json else [f"{number}: {lines[0]}", *(f"   {line}" for line in lines[1:])]:
            console.print(line, markup=False, soft_wrap=True)
    if as_json:
        as_document(told)
    if not found:
        raise Stop(Exit.REFUSED, "it would start nothing and end nothing")
    if not as_json:
        console.print(f"{counted(found, 'alert')} would be taken; its signature was not looked at", markup=False)


def _read(file: Path, source: str, headers: Sequence[str], settings: Settings, rules: Routes) -> Said:
    body = _body(file)
    if source == ALERTMANAGER:
        return _understood(file, lambda: alertmanager.read(body))
    sources = {one.name: one for one in registry.built(settings.webhook.sources, rules.mapping)}
    if source not in sources:
        known = ", ".join([ALERTMANAGER, *sources])
        raise Stop(Exit.USAGE, f"source: {source!r} is not in [webhook.sources]. Known: {known}")
    given = {"content-type": "application/json", **dict(_headers(headers))}
    return _understood(file, lambda: sources[source].read(Post(given, body, datetime.now(UTC))))


def _body(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise Stop(Exit.USAGE, f"{file}: {error.strerror}") from None


def _understood(file: Path, read: Callable[[], Said]) -> Said:
    try:
        return read()
    except Unreadable as error:
        raise Stop(Exit.REFUSED, f"{file}: {error}") from None


def _headers(given: Sequence[str]) -> Iterator[tuple[str, str]]:
    for one in given:
        name, colon, value = one.partition(":")
        if not (name.strip() and colon):
            raise Stop(Exit.USAGE, "header: expected NAME:VALUE")
        yield name.strip().lower(), value.strip()


def _explained(item: Alert | Flaw | Ignored, rules: Routes, settings: Settings) -> Iterator[str]:
    if isinstance(item, Ignored):
        yield f"neither fires nor ends: {item.why}"
        return
    if isinstance(item, Flaw):
        yield f"can't be taken: {item.detail}"
        return
    verb = "fires" if item.status == "firing" else "has ended"
    yield f"{item.name} {verb}, since {item.starts_at:%Y-%m-%d %H:%M:%S %Z}, fingerprint {item.fingerprint}"
    yield "labels: " + " ".join(f'{name}="{value}"' for name, value in item.labels.items())
    decided = decide(item, rules, settings.services)
    if isinstance(decided, Unrouted):
        yield f"starts nothing: {decided.why}"
        return
    number, route = rules.route.index(decided.route), decided.route
    yield f"rule {number} takes it: {route.procedure} for {decided.service}"
    try:
        route.request(item, decided.service)
    except ValidationError as error:
        yield f"starts nothing: {explain(error)}"
        return
    joins = "starts, or joins" if item.status == "firing" else "tells"
    yield f"→ {joins} the run {decided.workflow_id}"
