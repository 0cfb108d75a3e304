"""The runbook's own commands, with the real kubectl."""

import os
import shutil
import subprocess
from pathlib import Path

from sandbox import binaries
from sandbox.ports import LOOPBACK


class Shell:
    """An engineer's shell on one cluster."""

    def __init__(self, kubeconfig: Path, home: Path) -> None:
        home.mkdir()
        path = f"{binaries.find('kubectl').parent}{os.pathsep}{os.environ['PATH']}"
        # kubectl keeps what it has discovered of the API there from one command to the next, as it does for a person.
        self._env = {**os.environ, "HOME": str(home), "KUBECONFIG": str(kubeconfig), "no_proxy": LOOPBACK, "PATH": path}

    def require(self, program: str) -> None:
        """Refuse to measure a shell that lacks a program of the runbook's."""
        if shutil.which(program, path=self._env["PATH"]) is None:
            raise RuntimeError(f"{program} is not installed: the runbook's commands need it")

    def run(self, *command: str | Path, given: str = "") -> None:
        """Run one command to its end; `given` is what it reads."""
        subprocess.run(command, env=self._env, check=True, capture_output=True, input=given.encode())
