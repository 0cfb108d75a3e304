"""`python -m sandbox.prepare demo`: what the demo or the sandbox needs is got, all of it side by side.

That is Python's packages, which are mostly waited for, and the servers' programs, which where they have to be built
take every core for minutes. So this needs nothing but the standard library itself.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from activities.common.children import tied
from sandbox import binaries
from sandbox.toolchain import progress
from sandbox.toolchain.errors import ToolchainError

_PROGRAMS = {"demo": binaries.DEMO, "sandbox": binaries.SANDBOX}
# Neither linters nor browsers; what is there beyond that stays. Nothing is compiled ahead of time: that takes a
# minute of the very cores that build, and only a part of it is ever imported.
_PACKAGES = ("sync", "--frozen", "--no-default-groups", "--group", "sandbox", "--inexact")


def main(arguments: Sequence[str] | None = None) -> int:
    """Get everything; 1 after a sentence that says why it can't be had."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.prepare", description=__doc__)
    parser.add_argument("purpose", choices=list(_PROGRAMS))
    parser.add_argument("--uv", default="uv", help="default: %(default)s")
    options = parser.parse_args(arguments)
    with ThreadPoolExecutor(max_workers=2) as pool:
        jobs = (
            pool.submit(_packages, options.uv),
            pool.submit(binaries.ensure, _PROGRAMS[options.purpose], progress.say),
        )
    failed = [error for job in jobs if (error := job.exception()) is not None]
    for error in failed:
        if not isinstance(error, ToolchainError):
            raise error
        progress.say(str(error))
    return 1 if failed else 0


def _packages(uv: str) -> None:
    with progress.Bar("getting Python's packages"):
        bound = tied([uv, *_PACKAGES])
        answer = subprocess.run(
            bound.argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **bound.how,
        )
    if answer.returncode != 0:
        raise ToolchainError(f"`uv sync` failed: {answer.stderr.strip()}")


if __name__ == "__main__":
    sys.exit(main())
