"""No test fails for being slow: machines are busy, and speed is measured in `bench/`."""

import hypothesis

from tests.plugins import deadlock_limit

HANGS = 240.0
"""Seconds after which what is waited for will not come. To wait longer costs nothing where it comes, and pytest's own
limit is a minute more: the failure is the one that says what was waited for."""

hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")
deadlock_limit.relax()
