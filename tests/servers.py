"""The real servers, as fixtures: from the environment, else from Docker, else from this machine's own programs.

Each server starts once a test session, on ports of its own, when a test first asks for it; two sessions side by
side do not meet. A server that cannot be had fails the test that needs it and never skips it.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg
import pytest
from psycopg import sql
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import ListOpenWorkflowExecutionsRequest
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

import records_schema
from sandbox import kubernetes_api, manifests
from sandbox.alertmanager import Alertmanager
from sandbox.aws import Aws
from sandbox.certificate_authority import CertificateAuthority
from sandbox.cluster import Cluster
from sandbox.mail_server import MailServer
from sandbox.postgres import Postgres, with_database
from sandbox.prometheus import Prometheus
from sandbox.ready import ready
from sandbox.service_database import ServiceDatabase
from sandbox.temporal import Temporal, program
from sandbox.toolchain import keda
from sandbox.toolchain.older_postgres import oldest
from tests.one_clock import unlocked_once
from tests.plugins import moved
from workers.converter import DATA_CONVERTER
from workflows.platform.search_attributes import SEARCH_ATTRIBUTES

if TYPE_CHECKING:
    from playwright.async_api import Browser

POSTGRES_IMAGE = "postgres:18"


class _Startable(Protocol):
    def start(self) -> None: ...

    def wait_ready(self) -> None: ...

    def stop(self) -> None: ...


_Server = TypeVar("_Server", bound=_Startable)


def pytest_configure(config: pytest.Config) -> None:
    """Cases beside the checkout may name modules as they were when the cases were written."""
    paths = [Path(argument.partition("::")[0]) for argument in config.args]
    if any(not path.resolve().is_relative_to(config.rootpath) for path in paths):
        moved.install()


class CreateDatabase(Protocol):
    """Creates a database, empty or like `template`, and gives its URL; it is gone when the session has ended."""

    def __call__(self, template: str = "template0") -> str: ...


@pytest.fixture(scope="session")
def servers_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the session's servers keep their files and logs."""
    return tmp_path_factory.mktemp("servers")


def _postgres_in_docker(stack: ExitStack) -> str | None:
    """Start PostgreSQL in Docker, if Docker answers and has the image or can pull it."""
    if "DOCKER_HOST" not in os.environ and not Path("/var/run/docker.sock").exists():
        return None
    import docker  # noqa: PLC0415 - half a second that most test runs need not wait
    from docker.errors import DockerException  # noqa: PLC0415
    from testcontainers.postgres import PostgresContainer  # noqa: PLC0415

    try:
        docker.from_env(timeout=5).ping()
        container = PostgresContainer(POSTGRES_IMAGE, driver=None)
        stack.enter_context(container)
    except DockerException:
        return None
    return str(container.get_connection_url())


_VACUUMS_SELDOM = {"autovacuum_naptime": "10min"}
"""How often it looks into each of its databases: of hundreds, once a minute takes 2 % of a core in each process."""


@pytest.fixture(scope="session")
def create_database(servers_directory: Path) -> Iterator[CreateDatabase]:
    """Databases on the session's PostgreSQL; each call gives another empty one."""
    with ExitStack() as stack:
        given = os.environ.get("RUNBOOKS_TEST_POSTGRES_URL")
        url = given or _postgres_in_docker(stack)
        if url is None:
            server = Postgres(servers_directory / "postgresql", settings=_VACUUMS_SELDOM)
            server.start()
            stack.callback(server.remove)
            server.wait_ready()
            url = server.url()
        made: list[str] = []

        def create(template: str = "template0") -> str:
            name = f"test_{secrets.token_hex(6)}"
            command = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(command)
            made.append(name)
            return with_database(url, name)

        yield create
        if given is None:  # with a server of ours they end all at once: to drop each of hundreds takes over a minute
            return
        with psycopg.connect(url, autocommit=True) as connection:
            for name in made:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def oldest_postgres(servers_directory: Path) -> Iterator[Postgres]:
    """A server of the oldest version that is supported."""
    with ready(Postgres(servers_directory / "oldest-postgresql", oldest())) as server:
        yield server


@pytest.fixture(scope="session")
def records_template(create_database: CreateDatabase) -> str:
    """The name of a database with the records' schema and nothing in it, to be copied: quicker than to migrate."""
    url = create_database()
    records_schema.migrate(url)
    return urlsplit(url).path.removeprefix("/")


@pytest.fixture(scope="module")
def postgres_url(create_database: CreateDatabase) -> str:
    """An empty database of the test module's own."""
    return create_database()


_FORGETS_AT_ONCE = {"history.transferProcessorEnsureCloseBeforeDelete": "false"}
"""A closed run that a test deletes is gone at once, and not only when a queue's position is saved, 30 s later."""


@pytest.fixture(scope="session")
def temporal_server(servers_directory: Path) -> Iterator[Temporal]:
    """The session's local Temporal with our search attributes; a test that kills it must `restart` it."""
    with ready(Temporal(servers_directory / "temporal", SEARCH_ATTRIBUTES, _FORGETS_AT_ONCE)) as server:
        yield server


@pytest.fixture(scope="session")
def temporal_address(request: pytest.FixtureRequest) -> str:
    """The session's Temporal, as host:port."""
    given = os.environ.get("RUNBOOKS_TEST_TEMPORAL_ADDRESS")
    return given or request.getfixturevalue("temporal_server").address


async def start_environment() -> WorkflowEnvironment:
    """Start the time-skipping server with our search attributes."""
    environment = await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(program("temporal-test-server")), data_converter=DATA_CONVERTER
    )
    # The test server can add search attributes but not list them, so `register_search_attributes` won't do.
    await environment.client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(
            search_attributes=dict.fromkeys(
                (key.name for key in SEARCH_ATTRIBUTES), IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
            )
        )
    )
    return unlocked_once(environment)


async def end_environment(environment: WorkflowEnvironment) -> None:
    """End a time-skipping server at once: asked to end, it waits up to 10 s for polls that nobody reads any more."""
    port = environment.client.service_client.config.target_host.rpartition(":")[2]
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if port in child.cmdline():
                child.kill()
    await environment.shutdown()


@pytest.fixture(scope="session")
async def clocks() -> AsyncIterator[list[WorkflowEnvironment]]:
    """Test servers that earlier tests have left as good as new: one at most."""
    left: list[WorkflowEnvironment] = []
    yield left
    for environment in left:
        await end_environment(environment)


@pytest.fixture
async def time_skipping(
    request: pytest.FixtureRequest, clocks: list[WorkflowEnvironment]
) -> AsyncIterator[WorkflowEnvironment]:
    """Temporal's test server, whose clock jumps over timers; what it says it is may be months ahead.

    Tests that have the records as well get one whose clock begins at the records' own.
    """
    fresh = "create_database" in request.fixturenames
    environment = clocks.pop() if clocks and not fresh else await start_environment()
    yield environment
    if not fresh and await _jumps(environment) and await _ahead(environment) < _AHEAD:
        clocks.append(environment)
    else:
        await end_environment(environment)


_AHEAD = timedelta(days=365)
"""How far a clock may be ahead of the machine's: tests name times in years to come that are in the future."""


async def _ahead(environment: WorkflowEnvironment) -> timedelta:
    return await environment.get_current_time() - datetime.now(UTC)


_JUMP = timedelta(minutes=1)
_JUMPS_WITHIN = 0.3
"""Seconds; a clock that is free takes a few milliseconds."""


async def _jumps(environment: WorkflowEnvironment) -> bool:
    """Tell whether the clock is free: now and then something of a run that has ended holds it for good."""
    service = environment.client.workflow_service
    still_open = await service.list_open_workflow_executions(ListOpenWorkflowExecutionsRequest(namespace="default"))
    for run in still_open.executions:
        with suppress(RPCError):  # it has ended since
            await environment.client.get_workflow_handle(run.execution.workflow_id).terminate("the test is over")
    try:
        await asyncio.wait_for(environment.sleep(_JUMP), _JUMPS_WITHIN)
    except TimeoutError:
        return False
    return True


@pytest.fixture(scope="session")
def cluster(servers_directory: Path) -> Iterator[Cluster]:
    """The session's local Kubernetes with three nodes and KEDA's definition."""
    with ready(Cluster(servers_directory / "kubernetes")) as server:
        manifests.apply_nodes(server.kubeconfig, keda_definition=keda.definition())
        yield server


@pytest.fixture(scope="session")
def kubeconfig(request: pytest.FixtureRequest) -> Path:
    """The session's Kubernetes; `RUNBOOKS_TEST_KUBECONFIG` may name a running sandbox's."""
    given = os.environ.get("RUNBOOKS_TEST_KUBECONFIG")
    return Path(given) if given else request.getfixturevalue("cluster").kubeconfig


@pytest.fixture
def kube(kubeconfig: Path) -> Iterator[httpx.Client]:
    """The cluster's API over plain HTTP, to look at it from outside of our own client."""
    with kubernetes_api.connect(kubeconfig) as api:
        yield api


@pytest.fixture
def tensafe(kubeconfig: Path, kube: httpx.Client) -> Iterator[str]:
    """A namespace of the test's own with a healthy `tensafe-server` v1.2.3 in it; gives its name."""
    namespace = f"tensafe-{secrets.token_hex(4)}"
    manifests.apply_service(kubeconfig, namespace)
    yield namespace
    kube.delete(f"/api/v1/namespaces/{namespace}").raise_for_status()


@pytest.fixture(scope="session")
def aws(servers_directory: Path) -> Iterator[Aws]:
    """The session's AWS, with the EKS cluster `tensafe-prod`."""
    with ready(Aws(servers_directory / "aws")) as server:
        yield server


@pytest.fixture(scope="session")
def certificate_authority(servers_directory: Path) -> Iterator[CertificateAuthority]:
    """The session's certificate authority; it never issues for `blocked.example`."""
    with ready(
        CertificateAuthority(servers_directory / "certificate-authority", blocked=["blocked.example"])
    ) as server:
        yield server


@pytest.fixture(scope="session")
def mail_server(servers_directory: Path) -> Iterator[MailServer]:
    with ready(MailServer(servers_directory / "mail")) as server:
        yield server


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator["Browser"]:
    """The session's Chromium: to start one costs more CPU than most tests of a page."""
    from tests import browsers  # noqa: PLC0415 - most test runs need not wait for it

    async with browsers.chromium() as started:
        yield started


@pytest.fixture
async def browser(chromium: "Browser") -> AsyncIterator["Browser"]:
    """A browser without windows, cookies or storage of earlier tests; what a test leaves open is closed."""
    yield chromium
    for context in chromium.contexts:
        await context.close()


def _starter(kind: Callable[..., _Server], directory: Path) -> Iterator[Callable[..., _Server]]:
    """Give what starts servers of a kind, each in a folder of its own; all are stopped in the end."""
    with ExitStack() as stack:

        def start(**options: Any) -> _Server:
            server = kind(directory / secrets.token_hex(3), **options)
            server.start()
            stack.callback(server.stop)
            server.wait_ready()
            return server

        yield start


@pytest.fixture
def start_service_database(tmp_path: Path) -> Iterator[Callable[..., ServiceDatabase]]:
    """Start a service database of the test's own: `start_service_database(synchronous=…, restart_crashed=…)`."""
    yield from _starter(ServiceDatabase, tmp_path)


@pytest.fixture
def start_prometheus(tmp_path: Path) -> Iterator[Callable[..., Prometheus]]:
    """Start a Prometheus: `start_prometheus(targets={job: host:port}, rules=[…], alertmanager=host:port)`."""
    yield from _starter(Prometheus, tmp_path)


@pytest.fixture
def start_alertmanager(tmp_path: Path) -> Iterator[Callable[..., Alertmanager]]:
    """Start an Alertmanager: `start_alertmanager(webhook_url=…, bearer_file=…)`."""
    yield from _starter(Alertmanager, tmp_path)
