"""What processes of the compose file share: their secrets, and what stands beside them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.postgres import Postgres
from sandbox.ready import ready
from sandbox.temporal import Temporal
from sandbox.temporal_on_postgres import TemporalOnPostgres
from tests.activities.contracts.serving import Misbehaviour, serving
from tests.deploy import docker_compose
from tests.deploy.docker_compose import ROOT
from tests.deploy.processes import run_as_the_image_would
from tests.starters.web.provider import Provider
from workflows.platform.search_attributes import SEARCH_ATTRIBUTES


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deploy") / "secrets"
    assert docker_compose.make_secrets(folder).returncode == 0
    return folder


@pytest.fixture(scope="module")
def records_db(secrets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A server as the `postgres` image's first start leaves it, and the secrets' URLs naming it."""
    with ready(Postgres(tmp_path_factory.mktemp("records-db"))) as server:
        run_as_the_image_would(ROOT / "deploy/postgres/records.sh", server, secrets)
        for name in ("records_url", "records_owner_url", "status_page_records_url"):
            url = (secrets / name).read_text()
            (secrets / name).unlink()
            (secrets / name).write_text(url.replace("records-db:5432", f"127.0.0.1:{server.port}"))
        yield


@pytest.fixture(
    scope="module", params=["development", pytest.param("postgresql", marks=[pytest.mark.production])], ids=str
)
def own_temporal(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Temporal | TemporalOnPostgres]:
    """A Temporal of these tests' own, so that no other test's runs are among what is listed and counted.

    With `--production` it is the server of production: then all processes of the compose file have run on it.
    """
    made = TemporalOnPostgres if request.param == "postgresql" else Temporal
    with ready(made(tmp_path_factory.mktemp("temporal"), SEARCH_ATTRIBUTES)) as server:
        yield server


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    one = Provider("")
    with serving(one.app(), Misbehaviour()) as base:
        one.issuer = base
        yield one
