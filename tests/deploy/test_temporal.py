"""Temporal's own server on PostgreSQL, as the compose file and the sandbox run it: `make test-server`."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from sandbox import binaries, probes
from sandbox.ports import free_port
from sandbox.postgres import Postgres
from sandbox.ready import ready
from sandbox.temporal import program
from sandbox.temporal_on_postgres import DATABASES, TemporalOnPostgres
from sandbox.toolchain.build import go
from sandbox.toolchain.modules import TEMPORAL, TEMPORAL_UI
from tests.deploy import docker_compose
from tests.deploy.docker_compose import ROOT
from tests.deploy.processes import Places, run_as_the_image_would
from workflows.platform.search_attributes import SEARCH_ATTRIBUTES

pytestmark = [pytest.mark.production, pytest.mark.servers, pytest.mark.timeout(900)]


def source(directory: Path) -> Path:
    """Where the sources of a pinned module are: with them are the scripts that its image starts with."""
    name = "go.temporal.io/server" if directory == TEMPORAL.directory else "github.com/temporalio/ui-server/v2"
    answer = subprocess.run(
        [go() or "go", "list", "-m", "-f", "{{.Dir}}", name], cwd=directory, capture_output=True, text=True, check=True
    )
    return Path(answer.stdout.strip())


@pytest.fixture(scope="module")
def database(secrets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server as the `postgres` image's first start leaves it."""
    with ready(Postgres(tmp_path_factory.mktemp("temporal-db"))) as server:
        run_as_the_image_would(ROOT / "deploy/postgres/temporal.sh", server, secrets)
        yield server


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    """The ports that a container has for itself."""
    names = ["FRONTEND_GRPC", "FRONTEND_HTTP", "HISTORY_GRPC", "MATCHING_GRPC", "WORKER_GRPC"]
    return {name: free_port() for name in [*names, *(f"{name[:-5]}_MEMBERSHIP" for name in names if "GRPC" in name)]}


@pytest.fixture(scope="module")
def places(
    secrets: Path, database: Postgres, ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> Places:
    directory = tmp_path_factory.mktemp("machine")
    programs = directory / "programs"
    programs.mkdir()
    for name in binaries.TEMPORAL_ON_POSTGRES:
        (programs / name).symlink_to(binaries.find(name))
    (programs / "temporal").symlink_to(program("temporal"))
    own = "; ".join(f"export {name}_PORT={port}" for name, port in ports.items())
    # The image's own script, which its shell understands and not every other: in the container's world of ports.
    script = source(TEMPORAL.directory) / "docker/scripts/sh/entrypoint.sh"
    entrypoint = directory / "entrypoint.sh"
    entrypoint.write_text(f"#!/bin/sh\n{own}\nexec bash {script}\n")
    entrypoint.chmod(0o755)
    found = Places(
        compose=docker_compose.resolve(secrets),
        directory=directory,
        elsewhere={
            "temporal:7233": f"127.0.0.1:{ports['FRONTEND_GRPC']}",
            "127.0.0.1:7243": f"127.0.0.1:{ports['FRONTEND_HTTP']}",
            "temporal-db": "127.0.0.1",
            "/etc/temporal/entrypoint.sh": str(entrypoint),
            "/bin/sh": str(programs / "sh"),
        },
    )
    # Images carry their programs on PATH.
    (programs / "sh").write_text(f'#!/bin/sh\nPATH="{programs}:$PATH"; export PATH\nexec /bin/sh "$@"\n')
    (programs / "sh").chmod(0o755)
    # What scripts read is at a fixed place in a container.
    for name in ("temporal_schema", "temporal_namespace"):
        file = Path(found.compose["configs"][name]["file"])
        copy = directory / file.name
        copy.write_text(file.read_text().replace("/run/secrets", str(secrets)))
        found.compose["configs"][name]["file"] = str(copy)
    return found


async def test_the_compose_files_temporal_takes_a_run_and_its_jobs_find_nothing_to_do_again(
    places: Places, database: Postgres, ports: dict[str, int]
) -> None:
    schema = places.service("temporal-schema", {}, SQL_PORT=str(database.port))
    for _ in range(2):
        answer = schema.job()
        assert answer.returncode == 0, answer.stdout + answer.stderr
    metrics = f"127.0.0.1:{free_port()}"
    server = places.service(
        "temporal",
        {},
        DB_PORT=str(database.port),
        BIND_ON_IP="127.0.0.1",
        PROMETHEUS_ENDPOINT=metrics,
    )
    with server.running() as running:
        running.wait_healthy()
        namespace = places.service("temporal-namespace", {})
        for _ in range(2):
            answer = namespace.job()
            assert answer.returncode == 0, answer.stdout + answer.stderr
        client = await Client.connect(f"127.0.0.1:{ports['FRONTEND_GRPC']}")
        assert await _echoed(client) == "on PostgreSQL"
        _the_page_answers(places, client)
        await _services_take_turns(client, metrics)
        running.stop()


async def _services_take_turns(client: Client, metrics: str) -> None:
    """Have a task wait: the rule `ServicesDoNotTakeTurns` tells by how the server counts it."""
    await client.start_workflow("Nobody", id="waits", task_queue="nobodys")

    def counted() -> bool:
        return "\nfair_task_write_latency_count{" in httpx.get(f"http://{metrics}/metrics").text

    await asyncio.to_thread(probes.wait_until, counted, 30)


def _the_page_answers(places: Places, client: Client) -> None:
    port = str(free_port())
    template = source(TEMPORAL_UI.directory) / "config"
    spec = places.compose["services"]["temporal-ui"]
    # The image starts it so, beside the template that reads the environment.
    spec["entrypoint"] = [str(binaries.find("temporal-ui-server")), "--config", str(template), "--root", "/"]
    spec["command"] = ["--env", "docker", "start"]
    page = places.service("temporal-ui", {"127.0.0.1:8080": f"127.0.0.1:{port}"}, TEMPORAL_UI_PORT=port)
    with page.running() as running:
        running.wait_healthy()
        listed = httpx.get(f"http://127.0.0.1:{port}/api/v1/namespaces/{client.namespace}/workflows")
        assert [run["type"]["name"] for run in listed.json()["executions"]] == ["Echo"]


@workflow.defn
class Echo:
    @workflow.run
    async def run(self, text: str) -> str:
        await workflow.sleep(0.1)
        return text


async def _echoed(client: Client) -> str:
    runner = UnsandboxedWorkflowRunner()
    async with Worker(client, task_queue="echo", workflows=[Echo], workflow_runner=runner):
        return await client.execute_workflow(Echo.run, "on PostgreSQL", id="echo", task_queue="echo")


@workflow.defn
class Waits:
    def __init__(self) -> None:
        self.told = False

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self.told)
        return "came back"

    @workflow.signal
    def go_on(self) -> None:
        self.told = True


async def test_a_killed_server_and_a_killed_database_lose_no_run(tmp_path: Path) -> None:
    server = TemporalOnPostgres(tmp_path, SEARCH_ATTRIBUTES)
    try:
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(server.wait_ready)
        client = await Client.connect(server.address)
        handle = await client.start_workflow(Waits.run, id="waits", task_queue="waits")
        for process in server.processes:
            process.kill()
        await asyncio.to_thread(server.restart)
        client = await Client.connect(server.address)
        handle = client.get_workflow_handle_for(Waits.run, handle.id)
        async with Worker(client, task_queue="waits", workflows=[Waits], workflow_runner=UnsandboxedWorkflowRunner()):
            await handle.signal(Waits.go_on)
            assert await handle.result() == "came back"
        for database in DATABASES:
            with psycopg.connect(server.database.url(database)) as connection:
                (version,) = connection.execute("SELECT curr_version FROM schema_version").fetchone() or ("",)
            assert version != "0.0", database
        assert probes.http(f"{server.ui_url}/healthz")()
    finally:
        await asyncio.to_thread(server.stop)


def test_the_demo_passes_on_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.demo", "--dir", str(tmp_path / "demo"), "--temporal", "postgresql"],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Rolled back to v1.2.3" in done.stdout
    assert "whole: record 1;" in done.stdout
    assert (tmp_path / "demo/temporal/postgresql/postgresql.log").is_file(), "it was not on PostgreSQL"
