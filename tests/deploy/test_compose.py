"""What docker-compose.temporal.yml promises, as the real `docker compose` reads it."""

import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from sandbox.toolchain.modules import ALERTMANAGER, OAUTH2_PROXY, PROMETHEUS
from tests.deploy import docker_compose
from tests.deploy.docker_compose import EVERY_PROFILE, ROOT, config
from workers.queues import ROLES
from workers.settings import TemporalSettings
from workflows.platform.search_attributes import SEARCH_ATTRIBUTES

# The first of these tests may have to build `docker compose`.
pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]

_ALWAYS = {"temporal-db", "temporal", "temporal-ui", "records-db", "worker", "webhook"}
_PROFILES = {
    "sign-in": {"temporal-ui-sign-in"},
    "web": {"web"},
    "status-page": {"status-page"},
    "slack": {"slack"},
    "monitoring": {"audit-metrics", "prometheus", "alertmanager", "grafana"},
    "roles": {f"worker-{role}" for role in ROLES},
}
_LONG_RUNNING = _ALWAYS.union(*_PROFILES.values())
_JOBS = {"temporal-schema", "temporal-namespace", "records-migrate", "schedules"}
_GIVEN = {"slack_token", "slack_app_token", "oidc_client_secret"}
"""Secrets that others make."""


@pytest.fixture(scope="module")
def compose(secrets: Path) -> dict[str, Any]:
    return docker_compose.resolve(secrets, **EVERY_PROFILE)


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(compose["services"])


def test_config_is_clean(secrets: Path) -> None:
    for profiles in ({}, EVERY_PROFILE):
        answer = config(secrets, "--quiet", **profiles)

        assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_what_is_not_asked_for_is_not_started(secrets: Path) -> None:
    assert set(docker_compose.resolve(secrets)["services"]) == _ALWAYS | _JOBS
    for profile, more in _PROFILES.items():
        started = set(docker_compose.resolve(secrets, COMPOSE_PROFILES=profile)["services"])
        assert started == _ALWAYS | _JOBS | more, profile


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
    for name in ("worker", "web", "slack", *_PROFILES["roles"]):
        assert {"records-migrate", "temporal-namespace"} <= set(services[name]["depends_on"]), name
    assert "temporal-namespace" in services["webhook"]["depends_on"]


def test_ports_are_published_on_the_loopback_address_only(services: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}

    published_by_profile = {"temporal-ui-sign-in", "web", "status-page", "prometheus", "alertmanager", "grafana"}
    assert set(published) == {"temporal", "temporal-ui", "webhook"} | published_by_profile
    numbers = [port["published"] for ports in published.values() for port in ports]
    assert len(numbers) == len(set(numbers))
    assert all(port["host_ip"] == "127.0.0.1" for ports in published.values() for port in ports)


def test_nothing_in_it_is_secret(secrets: Path) -> None:
    rendered = config(secrets, **EVERY_PROFILE).stdout
    values = {path.name: path.read_text().strip() for path in secrets.iterdir() if path.name != "approvals.env"}
    assert {name for name, value in values.items() if not value} == _GIVEN
    values = {name: value for name, value in values.items() if value}

    assert not [name for name, value in values.items() if value in rendered]
    assert not re.search(r"postgres(ql)?://\S*:\S*@", rendered)


def test_secrets_are_handed_over_as_files(compose: dict[str, Any], services: dict[str, Any], secrets: Path) -> None:
    secret = re.compile(r"PASSWORD|PWD|TOKEN|SECRET|_URL$|PRIVATE")
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            if secret.search(variable) and not variable.endswith(("UI_URL", "BASE_URL", "REDIRECT_URL", "ISSUER_URL")):
                assert not value or "/run/secrets/" in value, f"{name}: {variable}"
    assert all(Path(each["file"]).parent == secrets for each in compose["secrets"].values())
    assert all(Path(each["file"]).is_file() for each in compose["secrets"].values())


def test_who_signs_has_a_key_of_its_own_and_only_they_sign(services: dict[str, Any], compose: dict[str, Any]) -> None:
    assert "gateway_private_key.pem" not in str(compose), "the command line's key is for no container"
    signing = {
        name: [each["source"] for each in service.get("secrets", []) if each["source"].endswith("private_key")]
        for name, service in services.items()
        if "RUNBOOKS_GATEWAY__PRIVATE_KEY" in (service.get("environment") or {})
    }
    assert signing == {"web": ["web_private_key"], "slack": ["slack_private_key"]}


def test_a_worker_of_a_role_has_what_its_steps_need_and_no_more(services: dict[str, Any]) -> None:
    """docs/deployment.md, "Who holds which credentials"."""
    held = {role: {each["source"] for each in services[f"worker-{role}"]["secrets"]} for role in ROLES}
    all_of_it = {each["source"] for each in services["worker"]["secrets"]}

    assert held == {
        "orchestration": {"records_url", "audit_private_key"},
        "kubernetes": {"records_url", "kubeconfig", "audit_private_key"},
        "database": {"records_url"},
        "aws": {"records_url"},
        "messages": {"records_url", "slack_token"},
        "compliance": {"records_url", "kubeconfig", "audit_private_key"},
        "security": {"records_url", "kubeconfig"},
    }
    assert all_of_it == set().union(*held.values())
    for role in ROLES:
        assert services[f"worker-{role}"]["environment"]["RUNBOOKS_WORKER__ROLES"] == f'["{role}"]'


def test_slacks_token_is_for_who_posts_and_for_who_listens(secrets: Path) -> None:
    def tokens(**asked: str) -> dict[str, str]:
        services = docker_compose.resolve(secrets, **EVERY_PROFILE, **asked)["services"]
        given = {name: (service.get("environment") or {}) for name, service in services.items()}
        found = {name: each["RUNBOOKS_SLACK__TOKEN"] for name, each in given.items() if "RUNBOOKS_SLACK__TOKEN" in each}
        return {name: token for name, token in found.items() if token}

    file = "file:/run/secrets/slack_token"
    assert tokens() == {"slack": file}
    assert tokens(RUNBOOKS_SLACK="slack") == {"slack": file, "worker": file, "worker-messages": file}


def test_roles_take_the_place_of_the_workers_that_hold_everything(secrets: Path) -> None:
    asked = {"COMPOSE_PROFILES": "roles", "RUNBOOKS_WORKERS": "0", "RUNBOOKS_ROLES": '["kubernetes", "messages"]'}
    services = docker_compose.resolve(secrets, **asked)["services"]

    assert services["worker"]["deploy"]["replicas"] == 0
    for role in ROLES:
        assert services[f"worker-{role}"]["environment"]["RUNBOOKS_TEMPORAL__ROLES"] == asked["RUNBOOKS_ROLES"]


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
    with_records = {"records-db", "records-migrate", "worker", "web", "status-page", "slack", "audit-metrics"}
    assert members["records-db"] == with_records | _PROFILES["roles"]
    assert members["public"] == {"status-page"}
    assert members["monitoring"] == {"prometheus", "alertmanager", "grafana"}
    assert members["runbooks"].isdisjoint({"status-page", "grafana", "records-db", "temporal-db"})
    assert compose["networks"]["temporal-db"]["internal"]
    assert compose["networks"]["records-db"]["internal"]


def test_what_must_last_is_in_named_volumes(services: dict[str, Any], compose: dict[str, Any]) -> None:
    monitoring = {"prometheus", "alertmanager", "grafana"}
    assert set(compose["volumes"]) == {"temporal-db", "records-db", "evidence", *monitoring}
    mounted = {
        mount["source"]: mount["target"] for service in services.values() for mount in service.get("volumes", [])
    }
    assert mounted["evidence"] == services["worker"]["environment"]["RUNBOOKS_EVIDENCE__DIRECTORY"]
    # From version 18 on the image keeps its data below this folder, and warns of a volume at the old one.
    assert mounted["temporal-db"] == mounted["records-db"] == "/var/lib/postgresql"


def test_foreign_images_are_pinned(services: dict[str, Any]) -> None:
    images = {service["image"] for service in services.values() if "build" not in service}

    assert all(re.fullmatch(r"[\w./-]+:v?\d+(\.\d+)+(-[\w.]+)?", image) for image in images), images
    stages = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    assert all(re.search(r":\d+\.\d+\.\d+", image) for image in stages), stages


def test_images_are_of_the_versions_that_are_run_here(services: dict[str, Any]) -> None:
    """Where a machine has no older one of its own: `sandbox/toolchain`."""
    of = {name: service["image"].rpartition(":")[2] for name, service in services.items()}

    # Prometheus 3.x is module v0.3xx.
    major, minor, patch = re.fullmatch(r"v0\.(\d)(\d\d)\.(\d+)", PROMETHEUS.pinned("prometheus")).groups()  # type: ignore[union-attr]
    assert of["prometheus"] == f"v{major}.{int(minor)}.{patch}"
    assert of["alertmanager"] == ALERTMANAGER.pinned("alertmanager")
    assert of["temporal-ui-sign-in"] == f"{OAUTH2_PROXY.pinned('oauth2-proxy')}-alpine"


def test_a_worker_is_given_the_time_it_takes_to_stop(services: dict[str, Any]) -> None:
    settings = tomllib.loads((ROOT / "deploy/runbooks.toml").read_text()).get("temporal", {})
    graceful = TemporalSettings(**settings).graceful_shutdown
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
