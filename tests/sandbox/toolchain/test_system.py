"""What a system has to have itself is asked for by name."""

import pytest

from sandbox.toolchain import system as system_programs
from sandbox.toolchain.errors import ToolchainError


def test_a_program_of_the_system_that_cannot_be_had_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolchainError, match="no rsync, which Barman restores with: install it"):
        system_programs.ensure("rsync", "Barman restores with")
