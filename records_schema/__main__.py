"""`python -m records_schema migrate|status`: the records' schema by hand, or as a container's job."""

import argparse
import os
import sys
from pathlib import Path

from records_schema import DatabaseError, migrate, status

_VARIABLE = "RUNBOOKS_RECORDS__URL"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0: the schema is up to date, 1: it is not, 2: the database can't be used."""
    parser = argparse.ArgumentParser(prog="python -m records_schema", description=__doc__)
    parser.add_argument("command", choices=["migrate", "status"])
    parser.add_argument(
        "--url",
        help=f"postgresql://… or file:/path/of/a/secret; by default {_VARIABLE}, which `ps` does not show",
    )
    parser.add_argument("--wait", type=float, default=30.0, help="seconds to wait for the server (30)")
    options = parser.parse_args(arguments)
    url = options.url or os.environ.get(_VARIABLE)
    if not url:
        parser.error(f"no database: set {_VARIABLE} or give --url")
    try:
        if url.startswith("file:"):
            url = Path(url.removeprefix("file:")).read_text(encoding="utf-8").strip()
        if options.command == "migrate":
            applied = migrate(url, wait=options.wait)
            sys.stdout.write(f"applied {', '.join(applied)}\n" if applied else "up to date\n")
            return 0
        found = status(url, wait=options.wait)
    except DatabaseError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"cannot read the URL's file: {error.strerror}\n")
        return 2
    sys.stdout.write(f"at {found.current or 'nothing'}, pending: {', '.join(found.pending) or 'nothing'}\n")
    return 0 if found.up_to_date else 1


if __name__ == "__main__":
    raise SystemExit(main())
