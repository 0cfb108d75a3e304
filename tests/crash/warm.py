"""What is done once for all processes that the crash harness forks: whatever a worker or a service would import.

Some of it is imported when it is first needed, and Kubernetes' and AWS' models each in a module of its own. What is
missing here is imported by each process for itself, which only takes longer.
"""

import asyncio
from importlib import import_module
from types import ModuleType

import boto3
from kubernetes import client
from temporalio import workflow

import libraries
from sandbox.aws import REGION
from workers.registry import PROCEDURES, SYSTEM
from workers.runner import runner

MODULES = ("tests.crash.worker", "sandbox.service.__main__", "psycopg.rows", "psycopg.types.json")


def warm() -> None:
    later = (found.__name__ for found in vars(libraries).values() if isinstance(found, ModuleType))
    for module in (*MODULES, *later):
        import_module(module)
    for name in dir(client):
        getattr(client, name)
    for service in ("eks", "rds"):  # the descriptions of their APIs are kept by the library's own session
        boto3.client(service, region_name=REGION)
    asyncio.run(_load_procedures())


async def _load_procedures() -> None:
    """Do what the first worker of a process does: the SDK loads every procedure on trial."""
    sandboxed = runner(sandbox=True)
    for kind in (*(entry.workflow for entry in PROCEDURES), *(entry.workflow for entry in SYSTEM)):
        sandboxed.prepare_workflow(workflow._Definition.must_from_class(kind))
