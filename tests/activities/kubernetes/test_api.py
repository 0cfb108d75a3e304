"""How an API server's failures are typed and told: a real one, and one that answers what a real one seldom does."""

import shutil
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from activities.common.errors import (
    ActivityFailure,
    Conflict,
    Misconfigured,
    NotFound,
    RateLimited,
    Refused,
    Unavailable,
)
from activities.kubernetes.api import ask, connect
from activities.kubernetes.cluster import Kubernetes, PodsRequest
from tests.activities.contracts.serving import Misbehaviour, serving

TOKEN = "secret-token"


def _kubeconfig(path: Path, server: str) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


def _status(code: int, message: str, **headers: str) -> Response:
    return JSONResponse({"kind": "Status", "message": message, "code": code}, code, headers=headers)


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Callable[[Response], Kubernetes]]:
    """An API server that gives one answer to everything."""
    answers: list[Response] = []

    async def everything(_: Request) -> Response:
        return answers[-1]

    app = Starlette(routes=[Route("/{path:path}", everything)])
    with serving(app, Misbehaviour()) as url, connect(_kubeconfig(tmp_path / "kubeconfig", url)) as api:

        def answer(response: Response) -> Kubernetes:
            answers.append(response)
            return Kubernetes(api)

        yield answer


PODS = PodsRequest(namespace="tensafe", selector="app=tensafe")


@pytest.mark.parametrize(
    ("response", "failure"),
    [
        (_status(401, "why"), Refused),
        (_status(403, "why"), Refused),
        (_status(422, "why"), Refused),
        (_status(400, "why"), Refused),
        (_status(404, "why"), NotFound),
        (_status(409, "why"), Conflict),
        (_status(410, "why"), Unavailable),
        (_status(429, "why"), RateLimited),
        (_status(500, "why"), Unavailable),
        (_status(503, "why"), Unavailable),
        (_status(504, "why"), Unavailable),
    ],
)
def test_each_answer_has_its_failure(
    answering: Callable[[Response], Kubernetes], response: Response, failure: type[ActivityFailure]
):
    with pytest.raises(ActivityFailure) as caught:
        answering(response).pods(PODS)
    assert type(caught.value) is failure
    assert caught.value.message == f"the Kubernetes API answered {response.status_code}: why"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(("says", "seconds"), [("7", 7), ("9" * 30, 600)])
def test_rate_limit_says_when_to_come_again(answering: Callable[[Response], Kubernetes], says: str, seconds: int):
    with pytest.raises(RateLimited) as caught:
        answering(_status(429, "later", **{"Retry-After": says})).pods(PODS)
    assert caught.value.next_retry_delay == timedelta(seconds=seconds)


@pytest.mark.parametrize("code", [403, 502])
def test_a_body_that_is_no_status_is_not_shown(answering: Callable[[Response], Kubernetes], code: int):
    with pytest.raises(ActivityFailure) as caught:
        answering(PlainTextResponse("<html>internal-host.example</html>", code)).pods(PODS)
    assert "internal-host" not in str(caught.value)
    assert str(code) in str(caught.value)


def test_an_answer_that_is_no_json_is_a_passing_fault(answering: Callable[[Response], Kubernetes]):
    with pytest.raises(Unavailable):
        answering(PlainTextResponse("<html>")).pods(PODS)


def test_a_long_message_is_cut(answering: Callable[[Response], Kubernetes]):
    with pytest.raises(Refused) as caught:
        answering(_status(422, "x" * 100_000)).pods(PODS)
    assert len(caught.value.message) < 1000


def _nobody_there() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_nobody_there(tmp_path: Path):
    url = _nobody_there()
    with connect(_kubeconfig(tmp_path / "k", url)) as api, pytest.raises(Unavailable) as caught:
        Kubernetes(api).pods(PODS)
    assert "the Kubernetes API did not answer" in str(caught.value)
    assert url.removeprefix("http://") not in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_somebody_there_who_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("activities.kubernetes.api.TIMEOUT", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with connect(_kubeconfig(tmp_path / "k", url)) as api, pytest.raises(Unavailable):
            Kubernetes(api).pods(PODS)


def _edited(kubeconfig: Path, to: Path, **changes: Any) -> Path:
    config = yaml.safe_load(Path(shutil.copy(kubeconfig, to)).read_text())
    config["users"][0]["user"] |= changes.get("user", {})
    config["clusters"][0]["cluster"] |= changes.get("cluster", {})
    to.write_text(yaml.safe_dump(config))
    return to


def test_a_wrong_token_is_refused_and_not_shown(kubeconfig: Path, tmp_path: Path):
    wrong = _edited(kubeconfig, tmp_path / "k", user={"token": "wrong-token"})
    with connect(wrong) as api, pytest.raises(Refused, match="401: Unauthorized") as caught:
        Kubernetes(api).pods(PODS)
    assert "wrong-token" not in str(caught.value)


def test_a_server_that_proves_nothing_is_not_talked_to(kubeconfig: Path, tmp_path: Path):
    stranger = _edited(kubeconfig, tmp_path / "k")
    config = yaml.safe_load(stranger.read_text())
    del config["clusters"][0]["cluster"]["certificate-authority-data"]
    stranger.write_text(yaml.safe_dump(config))
    with connect(stranger) as api, pytest.raises(Unavailable):
        Kubernetes(api).pods(PODS)


def test_real_refusals(kubeconfig: Path):
    with connect(kubeconfig) as api:
        core = client.CoreV1Api(api)
        with pytest.raises(NotFound, match='namespaces "none" not found'):
            ask(core.read_namespace, "none")
        with pytest.raises(Conflict, match="already exists"):
            ask(core.create_namespace, {"metadata": {"name": "default"}})
        with pytest.raises(Refused, match="422"):
            ask(core.create_namespace, {"metadata": {"name": "Not_A_Name"}})


def test_no_kubeconfig(tmp_path: Path):
    with pytest.raises(Misconfigured, match=f"no access to Kubernetes: there is no kubeconfig at {tmp_path / 'none'}"):
        connect(tmp_path / "none")


def test_no_such_context(kubeconfig: Path):
    with pytest.raises(Misconfigured, match="none"):
        connect(kubeconfig, "none")


def test_neither_a_kubeconfig_nor_a_cluster_around_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    with pytest.raises(Misconfigured):
        connect()
