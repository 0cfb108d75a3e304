"""A command of the settings for something of a database, run without a shell."""

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta

from activities.common.errors import Misconfigured, Unavailable
from activities.common.programs import run

WITHIN = timedelta(minutes=10)
MESSAGE_CHARACTERS = 300


def carry_out(words: Sequence[str], values: Mapping[str, str], what: str, within: timedelta = WITHIN) -> str:
    """Run it to its end, with the values in its words; gives what it printed.

    Raises:
        Misconfigured: there is no such program.
        Unavailable: it failed, with the end of what it said; or it took too long.

    """
    command = [word.format_map(values) for word in words]
    try:
        done = run(command, environment=os.environ, within=within)
    except OSError as error:
        raise Misconfigured(f"{what}: cannot run {command[0]} ({error.strerror})") from None
    if done.code:
        said = (done.err or done.out).strip()[-MESSAGE_CHARACTERS:]
        raise Unavailable(f"{what} failed with exit code {done.code}: {said}")
    return done.out
