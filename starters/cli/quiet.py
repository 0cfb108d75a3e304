"""What is said beside the answer: on stderr, and not at all with `--quiet`."""

import os
import sys

QUIET = "RUNBOOKS_QUIET"


def hint(sentence: str) -> None:
    """Say something that nobody needs who knows their way."""
    if not os.environ.get(QUIET):
        sys.stderr.write(f"{sentence}\n")
