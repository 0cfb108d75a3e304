"""Makes one compliance package in a process of its own and prints its peak of memory in MiB, and its seconds.

    python -m bench.compliance URL FOLDER     # records of the year 2025 in the database URL

The figure is the process' whole peak (VmHWM), fonts and all. Entering rows is not part of it.
"""

import re
import sys
import time
from pathlib import Path

from activities.evidence.files import FileStore
from tests.activities.compliance.packaging import packages, path_of, request
from workers.archive import patient_pool


def peak_mib() -> float:
    """Read this process' peak of memory."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    return int(found[1]) / 1024 if found else 0.0


def main(url: str, folder: str) -> None:
    """Make it, and say what it took."""
    store = FileStore(Path(folder))
    begun = time.monotonic()
    with patient_pool(url) as pool:  # type: ignore[arg-type]
        made = packages(store, pool).package(request(store))
    print(f"{peak_mib():.1f} {time.monotonic() - begun:.1f} {made.audit_rows} {made.size} {path_of(made)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
