"""Writes a part of the archive into a bundle."""

import asyncio
import itertools
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from audit.bundle import Empty, write
from audit.render.story import html
from audit.signer import OFF, SigningError
from audit.store import Store
from audit.store_connection import StoreError
from audit.text import span
from records_schema.pool import connect_pool
from starters.cli.audit.output import counting
from starters.cli.configured import load_settings
from starters.cli.facts import result
from starters.cli.people import Exit, Stop
from starters.cli.speaker import person
from starters.steering import times
from workers.audit_keys import signer


async def export(*, since: str | None, until: str | None, output: Path | None, pages: bool, as_json: bool) -> None:
    """Write the runs that ended in a span into a bundle.

    Raises:
        Stop: there are none, or the file can't be written.

    """
    begin, end = times.since("--since", since), times.until("--until", until)
    if begin and end and begin >= end:
        raise Stop(Exit.USAGE, "--since is not before --until: nothing can have ended between them")
    target = output or Path(f"evidence-{_named(begin, 'first')}-{_named(_last_day(end), 'now')}.bundle.zip")
    if target.is_dir():
        raise Stop(Exit.USAGE, f"--output: {target} is a directory: name a file in it")
    await asyncio.to_thread(_export, target, begin, end, pages=pages, as_json=as_json)


def _export(target: Path, since: datetime | None, until: datetime | None, *, pages: bool, as_json: bool) -> None:
    settings = load_settings()
    signs = signer(settings.audit)
    if signs is None:
        raise Stop(Exit.USAGE, OFF)
    beside = target.with_name(f".{target.name}.new")
    with connect_pool(settings.records.url, max_size=2) as pool:
        store = Store(pool)
        try:
            store.accessed(
                person(os.environ.get("RUNBOOKS_USER"), None).who, "export", f"{since or 'first'} to {until or 'now'}"
            )
            part = store.part(since, until)
            if part is None:
                raise Stop(
                    Exit.NOT_FOUND, "no archived run ended then; `runbooks audit archive` archives what has closed"
                )
            last = store.redacted_by(part)
            records = itertools.takewhile(lambda record: record.header.seq <= last, store.records(part.start - 1))
            with beside.open("wb") as file, counting() as bar:
                task = bar.add_task("exporting", total=last - part.start + 1)
                manifest = write(
                    file,
                    signs,
                    records,
                    part.stop - 1,
                    since=since,
                    until=until,
                    page=(lambda story: html([story])) if pages else None,
                    told=lambda _: bar.advance(task),
                )
            beside.replace(target)
        except (StoreError, SigningError) as error:
            raise Stop(Exit.UNREACHABLE if getattr(error, "passing", True) else Exit.REFUSED, str(error)) from None
        except Empty as error:
            raise Stop(Exit.NOT_FOUND, str(error)) from None
        except OSError as error:
            raise Stop(Exit.USAGE, f"--output: {target} can't be written: {error.strerror}") from None
        finally:
            beside.unlink(missing_ok=True)
    result(
        f"{target}: {span(manifest.first, manifest.last, 'record')}, signed with key {manifest.key}",
        as_json=as_json,
        file=target.resolve(),
        first=manifest.first,
        last=manifest.last,
        key=manifest.key,
    )


def _last_day(until: datetime | None) -> datetime | None:
    return until - timedelta(microseconds=1) if until else None


def _named(at: datetime | None, otherwise: str) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d}" if at else otherwise
