"""`python -m sandbox.database_hosts --plan FILE VERB SERVER`: what an administrator does on a server's machine.

`serve` is the machines themselves. Every verb may be repeated, and waits until it is done.
"""

import argparse
import sys
from pathlib import Path

from sandbox.database_hosts.client import ask
from sandbox.database_hosts.plan import Plan

VERBS = ("start", "stop", "fence", "rejoin", "discard", "start-despite-fence")


def main() -> int:
    """Do one thing; 1 where it can't be done, after a sentence that says why."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.database_hosts", description=__doc__)
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("verb", choices=("serve", *VERBS))
    parser.add_argument("server", nargs="?", default="")
    parser.add_argument("source", nargs="?", help="rejoin: the server to follow")
    options = parser.parse_args()
    plan = Plan.read(options.plan)
    if options.verb == "serve":
        from sandbox.database_hosts.agent import Agent  # noqa: PLC0415 - clients are quick without

        Agent(plan).serve()
        return 0
    try:
        done, said = ask(plan, options.verb, options.server, options.source)
    except (OSError, EOFError) as error:
        done, said = False, f"the machine of {options.server} doesn't answer ({type(error).__name__})"
    sys.stdout.write(f"{said}\n") if done else sys.stderr.write(f"{said}\n")
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
