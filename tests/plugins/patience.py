"""No test fails for being slow: machines are busy, and speed is measured in `bench/`."""

import hypothesis

from tests.plugins import deadlock_limit

hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")
deadlock_limit.relax()
