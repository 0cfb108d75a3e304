"""What docker-compose.temporal.yml promises, as the real `docker compose` reads it."""

import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from tests.deploy import docker_compose
from tests.deploy.docker_compose import ROOT, config, make_secrets
from workers.settings import Temporal
from workflows.platform.search_attributes import SEARCH_ATTRIBUTES

# The first of these tests may have to build `docker compose`.
pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]

_LONG_RUNNING = {"temporal-db", "temporal", "temporal-ui", "records-db", "worker", "webhook"}
_JOBS = {"temporal-schema", "temporal-namespace", "records-migrate", "schedules"}


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deploy") / "secrets"
    assert make_secrets(folder).returncode == 0
    return folder


@pytest.fixture(scope="module")
def compose(secrets: Path) -> dict[str, Any]:
    return docker_compose.resolve(secrets)


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(compose["services"])


def test_config_is_clean(secrets: Path) -> None:
    answer = config(secrets, "--quiet")

    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_without_secrets_it_does_not_even_resolve(tmp_path: Path) -> None:
    answer = config(tmp_path / "nothing", "--quiet")

    assert answer.returncode != 0
    assert "approvals.env" in answer.stderr


def test_every_service_either_stays_or_ends(services: dict[str, Any]) -> None:
    assert set(services) == _LONG_RUNNING | _JOBS
    assert {name for name, service in services.items() if service["restart"] == "unless-stopped"} == _LONG_RUNNING
    assert {name for name, service in services.items() if service["restart"] == "on-failure:5"} == _JOBS
    assert services["worker"]["deploy"]["replicas"] == 2


def test_what_stays_says_whether_it_is_healthy(services: dict[str, Any]) -> None:
    assert {name for name, service in services.items() if "healthcheck" in service} == _LONG_RUNNING
    for name in _LONG_RUNNING:
        check = services[name]["healthcheck"]
        assert check["test"][0] == "CMD", name
        assert {"interval", "timeout", "retries", "start_period"} <= set(check), name


def test_each_waits_for_what_it_needs(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            expected = "service_healthy" if needed in _LONG_RUNNING else "service_completed_successfully"
            assert how["condition"] == expected, f"{name} needs {needed}"
    assert {"records-migrate", "temporal-namespace"} <= set(services["worker"]["depends_on"])
    assert "temporal-namespace" in services["webhook"]["depends_on"]


def test_ports_are_published_on_the_loopback_address_only(services: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}

    assert set(published) == {"temporal", "temporal-ui", "webhook"}
    assert all(port["host_ip"] == "127.0.0.1" for ports in published.values() for port in ports)


def test_nothing_in_it_is_secret(secrets: Path) -> None:
    rendered = config(secrets).stdout
    values = {path.name: path.read_text().strip() for path in secrets.iterdir() if path.name != "approvals.env"}

    assert not [name for name, value in values.items() if value in rendered]
    assert not re.search(r"postgres(ql)?://\S*:\S*@", rendered)


def test_secrets_are_handed_over_as_files(compose: dict[str, Any], services: dict[str, Any], secrets: Path) -> None:
    secret = re.compile(r"PASSWORD|PWD|TOKEN|SECRET|_URL$|PRIVATE")
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            if secret.search(variable) and not variable.endswith("UI_URL"):
                assert "/run/secrets/" in value, f"{name}: {variable}"
    assert all(Path(each["file"]).parent == secrets for each in compose["secrets"].values())
    assert all(Path(each["file"]).is_file() for each in compose["secrets"].values())
    assert "gateway_private_key.pem" not in str(compose), "no container may sign approvals"


def test_containers_may_do_little(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
        assert not any(mount["type"] == "bind" for mount in service.get("volumes", [])), name


def test_databases_are_reached_by_nobody_else(services: dict[str, Any], compose: dict[str, Any]) -> None:
    members = {
        network: {name for name, service in services.items() if network in service["networks"]}
        for network in compose["networks"]
    }

    assert members["temporal-db"] == {"temporal-db", "temporal-schema", "temporal"}
    assert members["records-db"] == {"records-db", "records-migrate", "worker"}
    assert compose["networks"]["temporal-db"]["internal"]
    assert compose["networks"]["records-db"]["internal"]


def test_what_must_last_is_in_named_volumes(services: dict[str, Any], compose: dict[str, Any]) -> None:
    assert set(compose["volumes"]) == {"temporal-db", "records-db", "evidence"}
    mounted = {
        mount["source"]: mount["target"] for service in services.values() for mount in service.get("volumes", [])
    }
    assert mounted["evidence"] == services["worker"]["environment"]["RUNBOOKS_EVIDENCE__DIRECTORY"]
    # From version 18 on the image keeps its data below this folder, and warns of a volume at the old one.
    assert mounted["temporal-db"] == mounted["records-db"] == "/var/lib/postgresql"


def test_foreign_images_are_pinned(services: dict[str, Any]) -> None:
    images = {service["image"] for service in services.values() if "build" not in service}

    assert all(re.fullmatch(r"[\w./-]+:\d+(\.\d+)+(-[\w.]+)?", image) for image in images), images
    stages = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    assert all(re.search(r":\d+\.\d+\.\d+", image) for image in stages), stages


def test_a_worker_is_given_the_time_it_takes_to_stop(services: dict[str, Any]) -> None:
    settings = tomllib.loads((ROOT / "deploy/runbooks.toml").read_text()).get("temporal", {})
    graceful = Temporal(**settings).graceful_shutdown
    grace = TypeAdapter(timedelta).validate_python("PT" + services["worker"]["stop_grace_period"].upper())

    assert grace >= 2 * graceful


def test_the_namespace_gets_every_search_attribute(services: dict[str, Any]) -> None:
    given = services["temporal-namespace"]["environment"]["SEARCH_ATTRIBUTES"].split()

    assert given == [attribute.name for attribute in SEARCH_ATTRIBUTES]
    assert {attribute.indexed_value_type.name for attribute in SEARCH_ATTRIBUTES} == {"KEYWORD"}


def test_temporals_parts_fit_together(services: dict[str, Any]) -> None:
    version = services["temporal"]["image"].partition(":")[2]
    environment = services["temporal"]["environment"]

    assert services["temporal-schema"]["image"] == f"temporalio/admin-tools:{version}"
    assert services["temporal-namespace"]["image"] == f"temporalio/admin-tools:{version}"
    assert services["temporal-schema"]["environment"]["SQL_PLUGIN"] == environment["DB"]
    assert services["temporal-schema"]["environment"]["SQL_USER"] == environment["POSTGRES_USER"]


def test_the_build_sees_only_what_it_copies() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, flags=re.MULTILINE)
        for word in line.split()[:-1]
    }
    let_through = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), flags=re.MULTILINE))

    assert copied == let_through
    assert re.search(r"^USER 10001:10001$", dockerfile, flags=re.MULTILINE)
