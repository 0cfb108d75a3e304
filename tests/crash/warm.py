"""What is done once for all processes that the crash harness forks: whatever a worker or a service would import.

Some of it is imported when it is first needed, and Kubernetes' and AWS' models each in a module of its own. What is
missing here is imported by each process for itself, which only takes longer.
"""

import asyncio
import contextlib
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import boto3
import pydantic
from kubernetes import client
from temporalio import workflow

import activities.common.http
import libraries
from sandbox.aws import REGION
from workers.registry import PROCEDURES, SYSTEM
from workers.runner import runner
from workers.settings import WorkerSettings
from workers.worker import version

MODULES = ("tests.crash.worker", "sandbox.service.__main__", "psycopg.rows", "psycopg.types.json", "httpcore")


def warm() -> None:
    later = (found.__name__ for found in vars(libraries).values() if isinstance(found, ModuleType))
    for module in (*MODULES, *later):
        import_module(module)
    for name in dir(client):
        getattr(client, name)
    _prepare_cluster_calls()
    activities.common.http.trusted()
    version(WorkerSettings(deployment="any"))  # hashes our code
    for service in ("eks", "rds"):  # the descriptions of their APIs are kept by the library's own session
        boto3.client(service, region_name=REGION)
    asyncio.run(_load_procedures())


def _prepare_cluster_calls() -> None:
    """Do what the first call of a method of the Kubernetes client does: it makes the model of its arguments."""
    root = Path(activities.__file__ or "").parent
    called = {name for file in root.rglob("*.py") for name in re.findall(r"\.([a-z]+_[a-z_]+)\b", file.read_text())}
    for api in (getattr(client, name) for name in dir(client) if name.endswith("Api")):
        for name in called.intersection(vars(api)):
            with contextlib.suppress(pydantic.ValidationError, TypeError):
                getattr(api, name)()  # no arguments are refused before anything is asked


async def _load_procedures() -> None:
    """Do what the first worker of a process does: the SDK loads every procedure on trial."""
    sandboxed = runner(sandbox=True)
    for kind in (*(entry.workflow for entry in PROCEDURES), *(entry.workflow for entry in SYSTEM)):
        sandboxed.prepare_workflow(workflow._Definition.must_from_class(kind))
