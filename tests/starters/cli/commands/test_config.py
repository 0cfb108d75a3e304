"""A settings file that is begun: what isn't said is found in the cluster, and what isn't there is asked."""

import json
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest
from kubernetes import client
from typer.testing import CliRunner, Result

from starters.__main__ import application
from starters.cli import beginning
from tests.activities.autoscaling.discovering import Make, deployment, in_front, make, scaler  # noqa: F401
from tests.activities.kubernetes.cluster_fixtures import cluster_api  # noqa: F401
from tests.activities.kubernetes.on_cluster import eventually
from workers import settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one, from which the session's cluster is reached as the settings' own variable says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNBOOKS_CONFIG", raising=False)
    monkeypatch.setenv("RUNBOOKS_KUBERNETES__KUBECONFIG", str(kubeconfig))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def run(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(application(arguments), list(arguments), input=typed)


def written(name: str) -> dict[str, Any]:
    service: dict[str, Any] = tomllib.loads(Path("runbooks.toml").read_text(encoding="utf-8"))["services"][name]
    return service


@pytest.fixture
def two(make: Make) -> tuple[str, str]:  # noqa: F811
    """Two namespaces, each with an `api`; the first has all that can be found."""
    ports = {"ports": [{"containerPort": 8000}], "readinessProbe": {"httpGet": {"path": "/health", "port": 8000}}}
    first = make(
        deployment("api", {"app": "api"}, **ports), in_front("api", {"app": "api"}, 8080, 8000), scaler("scales", "api")
    )
    return first, make(deployment("api", {"app": "other"}), deployment("web", {"app": "web"}))


def test_all_of_it_is_found(two: tuple[str, str]) -> None:
    begun = run("config", "init", "api", "--namespace", two[0])
    assert begun.exit_code == 0, begun.output
    assert f"found: Deployment {two[0]}/api, pods app=api, HPA scales, health http://api." in begun.stderr
    assert written("api") == {
        "namespace": two[0],
        "deployment": "api",
        "selector": "app=api",
        "hpa": "scales",
        "health_url": f"http://api.{two[0]}.svc:8080/health",
    }
    assert settings.load(secrets=()).services["api"].hpa == "scales"


def test_what_is_said_counts_before_what_is_found(two: tuple[str, str], kubeconfig: Path) -> None:
    said = ("--selector", "app=mine", "--health-url", "http://elsewhere/health", "--kubeconfig", str(kubeconfig))
    begun = run("config", "init", "shop", "--deployment", "api", "--namespace", two[0], *said, "--json")
    told = json.loads(begun.stdout)
    assert (told["service"], told["selector"], told["hpa"]) == ("shop", "app=mine", "scales")
    assert written("shop")["health_url"] == "http://elsewhere/health"
    # A kubeconfig that was named is used from now on.
    assert settings.load(secrets=()).kubernetes.kubeconfig == kubeconfig


def test_of_two_nobody_chooses_for_you(two: tuple[str, str]) -> None:
    begun = run("config", "init", "api")
    assert begun.exit_code == 2
    assert "Deployment api is there more than once: " in begun.stderr
    assert all(f"{namespace}/api" in begun.stderr for namespace in two)
    assert not Path("runbooks.toml").exists()


def test_on_a_terminal_it_asks(two: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beginning, "somebody_there", lambda: True)
    begun = run("config", "init", "api", typed=f"api\n{two[1]}/api\nhttp://api/health\n")
    assert begun.exit_code == 0, begun.output
    assert begun.stderr.count("Which is it (NAMESPACE/NAME)?") == 2  # `api` alone says nothing new
    assert (written("api")["selector"], written("api")["health_url"]) == ("app=other", "http://api/health")


def test_where_nobody_can_be_asked_it_says_what_to_name(two: tuple[str, str]) -> None:
    begun = run("config", "init", "web", "--namespace", two[1])
    assert begun.exit_code == 2
    assert (
        f"--health-url: nothing says where web tells its health: name it, such as http://web.{two[1]}.svc"
        in begun.stderr
    )
    absent = run("config", "init", "absent")
    assert absent.exit_code == 2
    assert "no Deployment is called absent: name it with --deployment, or say --namespace. There are: " in absent.stderr
    # What is not there yet can be described.
    later = run("config", "init", "absent", "--namespace", two[1], "--health-url", "http://absent/health")
    assert later.exit_code == 0, later.output
    assert "what isn't said is taken from its name" in later.stderr
    assert written("absent")["selector"] == "app=absent"


def test_the_doctor_says_whose_pods_a_selector_misses_and_takes(
    two: tuple[str, str],
    kube: httpx.Client,
    cluster_api: client.ApiClient,  # noqa: F811
) -> None:
    assert run("config", "init", "api", "--namespace", two[1], "--health-url", "http://127.0.0.1:1/").exit_code == 0
    pods = f"/api/v1/namespaces/{two[1]}/pods"
    eventually(lambda: len(kube.get(pods).json()["items"]) == 2)

    def doctor() -> str:
        found = json.loads(run("doctor", "api", "--json").stdout)
        return str(next(one["seen"] for one in found if one["what"] == "selector"))

    assert doctor() == "app=other: 1 pod"
    file = Path("runbooks.toml")
    right = file.read_text(encoding="utf-8")
    file.write_text(right.replace('"app=other"', '"team=shop"'), encoding="utf-8")
    assert doctor().startswith("team=shop: also matches 1 pod (web-")
    file.write_text(right.replace('"app=other"', '"app=web"'), encoding="utf-8")
    assert "misses 1 pod (api-" in doctor()
    file.write_text(right.replace('"app=other"', '"app=nobody"'), encoding="utf-8")
    assert doctor().startswith("app=nobody: matches no pod")
