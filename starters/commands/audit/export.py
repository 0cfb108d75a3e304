"""`runbooks audit export`: a part of the archive for another party."""

import asyncio
import itertools
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from activities.archive import OFF
from audit.bundle import Empty, write
from audit.render.story import html
from audit.signer import SigningError
from audit.store import Store
from audit.store_connection import StoreError
from database.pool import connect_pool
from starters.audit import times
from starters.audit.output import counting
from starters.gateway import person
from starters.people import Exit, Stop, command, console
from starters.session import load_settings
from workers.archive import signer


@command
async def export(
    *,
    since: Annotated[
        str | None, typer.Option(metavar="2026-11-01", help="Ended then or later: a date, or an ISO time (UTC).")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="2026-11-30", help="Ended before: a time, or a date, which is included.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="evidence-<since>-<until>.bundle.zip otherwise.")] = None,
    pages: Annotated[
        bool, typer.Option("--pages", help="With a page to read for every run; a second or so each.")
    ] = False,
) -> None:
    """Write the runs that ended in a span, with all that proves them, into a file that others can verify."""
    begin, end = times.since("--since", since), times.until("--until", until)
    if begin and end and begin >= end:
        raise Stop(Exit.USAGE, "--since is not before --until: nothing can have ended between them")
    target = output or Path(f"evidence-{_named(begin, 'first')}-{_named(_last_day(end), 'now')}.bundle.zip")
    if target.is_dir():
        raise Stop(Exit.USAGE, f"--output: {target} is a directory: name a file in it")
    await asyncio.to_thread(_export, target, begin, end, pages=pages)


def _export(target: Path, since: datetime | None, until: datetime | None, *, pages: bool) -> None:
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
                    file, signs, records, part.stop - 1, since=since, until=until,
                    page=(lambda story: html([story])) if pages else None, told=lambda _: bar.advance(task),
                )  # fmt: skip
            beside.replace(target)
        except (StoreError, SigningError) as error:
            raise Stop(Exit.UNREACHABLE if getattr(error, "passing", True) else Exit.REFUSED, str(error)) from None
        except Empty as error:
            raise Stop(Exit.NOT_FOUND, str(error)) from None
        except OSError as error:
            raise Stop(Exit.USAGE, f"--output: {target} can't be written: {error.strerror}") from None
        finally:
            beside.unlink(missing_ok=True)
    console.print(
        f"{target}: records {manifest.first} to {manifest.last}, signed with key {manifest.key}",
        markup=False,
        soft_wrap=True,
    )


def _last_day(until: datetime | None) -> datetime | None:
    return until - timedelta(microseconds=1) if until else None


def _named(at: datetime | None, otherwise: str) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d}" if at else otherwise
