"""No test fails because a server beside it took more than five seconds on a busy machine.

That is how long httpx waits where nobody says otherwise. What the product asks says how long it waits.
"""

from httpx._config import DEFAULT_TIMEOUT_CONFIG

_SECONDS = 60.0

for _part in ("connect", "read", "write", "pool"):
    setattr(DEFAULT_TIMEOUT_CONFIG, _part, _SECONDS)
