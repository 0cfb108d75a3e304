"""What still runs on the data of a PostgreSQL server that is gone."""

import contextlib
from pathlib import Path

import psutil

_GONE_WITHIN = 5.0


def end_all(data: Path) -> None:
    """End it: a killed postmaster's processes may be about to notice, and no other may start before they have.

    Its `postmaster.pid` is taken away, since it means nobody then; its number may be somebody else's by now.
    """
    place = data.resolve()
    left = [process for process in psutil.process_iter() if _runs_on(place, process)]
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=_GONE_WITHIN)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _runs_on(place: Path, process: psutil.Process) -> bool:
    try:
        return process.name() == "postgres" and Path(process.cwd()) == place
    except (psutil.Error, OSError):
        return False
