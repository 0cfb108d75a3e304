"""What was looked at outside, and what was seen: `runbooks doctor` and `runbooks config check` say it alike."""

import json
import smtplib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import httpx
from rich import box
from rich.table import Table
from rich.text import Text
from temporalio.exceptions import ApplicationError

from libraries import aws_errors
from records_schema import DatabaseError
from starters.cli.people import Exit, Stop, console
from workers.settings import SettingsError


@dataclass(frozen=True)
class Finding:
    """What was looked at, and what was seen."""

    what: str
    fine: bool
    seen: str


def show(found: Sequence[Finding], *, as_json: bool, told: str) -> None:
    """Print them.

    Raises:
        Stop: one is not fine; `told` says of how many what that means.

    """
    if as_json:
        console.file.write(json.dumps([asdict(one) for one in found], indent=2, ensure_ascii=False) + "\n")
    else:
        table = Table(box=box.SIMPLE, pad_edge=False, show_header=False)
        for _ in range(2):
            table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for one in found:
            mark = Text("✓", style="green") if one.fine else Text("✗", style="bold red")
            table.add_row(mark, Text(one.what), Text(one.seen))
        console.print(table)
    if wrong := sum(not one.fine for one in found):
        raise Stop(Exit.REFUSED, f"{wrong} of {len(found)} {told}")


def look(what: str, at: Callable[[], tuple[bool, str]]) -> Finding:
    """Look at one thing; where that fails, its failure is what was seen."""
    with _said() as said:
        fine, seen = at()
        return Finding(what, fine, seen)
    return Finding(what, fine=False, seen=said[0])


@contextmanager
def _said() -> Iterator[list[str]]:
    """Take what a look says of its failure, in words for people; never a secret."""
    said: list[str] = []
    try:
        yield said
    except ApplicationError as error:
        said.append(error.message)
    except httpx.HTTPError as error:
        url = str(error.request.url.copy_with(query=None))
        said.append(f"{url}: {'no answer in time' if isinstance(error, httpx.TimeoutException) else 'does not answer'}")
    except aws_errors.ClientError as error:
        said.append(f"AWS says {error.response.get('Error', {}).get('Code', 'no')}")
    except aws_errors.BotoCoreError as error:
        said.append(f"AWS: {error}")
    except smtplib.SMTPException as error:
        said.append(f"the mail server refuses: {type(error).__name__}")
    except (SettingsError, DatabaseError, httpx.InvalidURL, ValueError, OSError) as error:
        said.append(str(error))
