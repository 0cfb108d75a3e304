"""`make mutate`: change modules of judgement on purpose, and see whether the tests that belong to them notice.

A fixed sample of changes a module, each in a process of its own that has the changed module in the place of the real
one; nothing on disk is touched. A change that no test notices is named. `docs/mutation.md` says which ones may stay so.
"""

import importlib.abc
import importlib.util
import os
import signal
import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest
import pytest_asyncio.plugin
import temporalio.testing
import temporalio.worker  # noqa: F401

import activities.catalogue.service
import activities.kubernetes.states
import activities.monitoring.prometheus
import activities.records.deployments  # noqa: F401
from tests.mutate.changes import Change, sample

ROOT = Path(__file__).parents[2]
SEED = 20260204
ENOUGH = 0.95
_LONGEST = 120
"""Seconds; a change that makes the tests last longer is noticed."""

_INCIDENTS = "tests/workflows/incident_response"
MODULES: dict[str, tuple[str, ...]] = {
    "workflows/incident_response/diagnosis.py": (f"{_INCIDENTS}/test_situations.py", f"{_INCIDENTS}/test_diagnosis.py"),
    "workflows/incident_response/situations.py": (f"{_INCIDENTS}/test_situations.py",),
    "workflows/shared/releases.py": ("tests/workflows/shared/test_releases.py", f"{_INCIDENTS}/test_diagnosis.py"),
    "workflows/deployment/rollback_target.py": (
        "tests/workflows/deployment/test_rollback_target.py",
        "tests/workflows/deployment/test_rollback_target_by_hand.py",
    ),
    "activities/kubernetes/run_marks.py": ("tests/activities/kubernetes/test_run_marks.py",),
    "workflows/platform/lease.py": ("tests/workflows/platform/test_lease.py",),
    "workflows/platform/approval.py": ("tests/workflows/platform/test_approval.py",),
}
"""Each with the tests that belong to it; none of them needs a server."""


_ALONE = (
    "-x",
    "-q",
    "--noconftest",
    "-c",
    os.devnull,
    f"--rootdir={ROOT}",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:warnings",
    "-o",
    "asyncio_mode=auto",
    "--import-mode=importlib",
)
"""Without the fixtures and options of all other tests, which would take longer than these."""


@dataclass(frozen=True)
class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module from another source."""

    name: str
    source: str

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname != self.name:
            return None
        file = ROOT / f"{fullname.replace('.', '/')}.py"
        return importlib.util.spec_from_file_location(fullname, file, loader=self)

    def create_module(self, spec: ModuleSpec) -> None:
        del spec

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.source, f"{self.name} (changed)", "exec"), module.__dict__)


def passes(module: str, source: str, tests: Sequence[str]) -> bool:
    """Run tests with another source for a module, in a process of its own."""
    child = os.fork()
    if child == 0:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        sys.meta_path.insert(0, Changed(module.removesuffix(".py").replace("/", "."), source))
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        code: int = 1
        try:
            code = int(pytest.main([*tests, *_ALONE], plugins=[pytest_asyncio.plugin]))
        finally:
            os._exit(code)
    until = time.monotonic() + _LONGEST
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def unnoticed(module: str, number: int) -> tuple[int, list[Change]]:
    """Give how many changes were made in a module, and those that its tests don't notice."""
    source, tests = (ROOT / module).read_text(encoding="utf-8"), MODULES[module]
    assert module.removesuffix(".py").replace("/", ".") not in sys.modules
    if not passes(module, source, tests):
        sys.exit(f"{module}: its tests fail as it is")
    made = sample(source, number, SEED)
    return len(made), [one for one in made if passes(module, one.source, tests)]


def main(arguments: list[str]) -> int:
    """Change, count and tell; gives the process's exit code."""
    parser = ArgumentParser(prog="python -m tests.mutate", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="those whose path has this in it; else all")
    parser.add_argument("--each", type=int, default=25, help="changes a module")
    given = parser.parse_args(arguments)
    os.chdir(ROOT)
    made = missed = 0
    for module in MODULES:
        if given.modules and not any(part in module for part in given.modules):
            continue
        began = time.monotonic()
        number, left = unnoticed(module, given.each)
        made, missed = made + number, missed + len(left)
        print(f"{module}: {number - len(left)} of {number} noticed, {time.monotonic() - began:.0f} s", flush=True)
        for change in left:
            print(f"    not noticed: {change}", flush=True)
    noticed = (made - missed) / made if made else 1.0
    print(f"{made - missed} of {made} noticed: {noticed:.1%}")
    return 0 if noticed >= ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
