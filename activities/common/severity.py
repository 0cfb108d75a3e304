"""How bad an incident or a ticket is (runbook 2.1)."""

from typing import Literal

Severity = Literal["P1", "P2", "P3", "P4"]
