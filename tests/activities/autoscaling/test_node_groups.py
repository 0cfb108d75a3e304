"""Node groups over moto's real HTTP server, and over a network and an AWS that misbehave."""

import json
import secrets
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from temporalio.testing import ActivityEnvironment

from activities.autoscaling.node_groups import NodeGroup, NodeGroupRequest, NodeGroups, ResizeNodeGroup
from activities.common.effects import Change, is_effect
from activities.common.errors import (
    ActivityFailure,
    Conflict,
    Misconfigured,
    NotFound,
    RateLimited,
    Refused,
    Unavailable,
)
from sandbox.aws import CLUSTER, REGION, Aws, create_node_group, delete_node_group, eks
from tests.activities.contracts.serving import Misbehaviour, serving
from tests.activities.kubernetes.on_cluster import an_effect

SECRET = "very-secret"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


def _node_groups(endpoint: str, **options: Any) -> NodeGroups:
    config = Config(retries={"total_max_attempts": 1}, **({"connect_timeout": 20, "read_timeout": 60} | options))
    return NodeGroups(boto3.Session(region_name=REGION).client("eks", endpoint_url=endpoint, config=config))


@dataclass
class Group:
    """A node group of the test's own, from 2 to 10, looked at from outside of our own code."""

    endpoint: str
    name: str = field(default_factory=lambda: f"gpu-{secrets.token_hex(4)}")

    @property
    def where(self) -> NodeGroupRequest:
        return NodeGroupRequest(cluster=CLUSTER, nodegroup=self.name)

    @property
    def scaling(self) -> dict[str, int]:
        described = eks(self.endpoint).describe_nodegroup(clusterName=CLUSTER, nodegroupName=self.name)
        scaling: dict[str, int] = described["nodegroup"]["scalingConfig"]
        return scaling

    @property
    def desired(self) -> int:
        return self.scaling["desiredSize"]

    def set(self, desired: int) -> None:
        """Change it as anybody may."""
        eks(self.endpoint).update_nodegroup_config(
            clusterName=CLUSTER, nodegroupName=self.name, scalingConfig={"desiredSize": desired}
        )

    def resize(self, to: int, *, of: int = 2, **options: Any) -> ResizeNodeGroup:
        return ResizeNodeGroup(**self.where.model_dump(), from_desired=of, desired=to, effect=an_effect(**options))


def resized(node_groups: NodeGroups, request: ResizeNodeGroup, *, attempt: int = 1) -> Change:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, attempt=attempt)
    change: Change = environment.run(node_groups.resize, request)
    return change


@pytest.fixture
def group(aws: Aws) -> Iterator[Group]:
    group = Group(aws.url)
    create_node_group(aws.url, CLUSTER, group.name)
    yield group
    delete_node_group(aws.url, CLUSTER, group.name)


@pytest.fixture
def node_groups(aws: Aws) -> NodeGroups:
    return _node_groups(aws.url)


def test_the_change_is_marked_as_an_effect():
    assert [name for name in vars(NodeGroups) if is_effect(getattr(NodeGroups, name))] == ["resize"]


# -- reading ----------------------------------------------------------------------------------------------


def test_a_node_group(node_groups: NodeGroups, group: Group):
    found = node_groups.read(group.where)
    assert (found.minimum, found.maximum, found.desired, found.issues) == (2, 10, 2, [])
    assert str(found) == f"{group.name} ACTIVE, 2 of 2–10"


def test_its_issues_are_told():
    issue = "AsgInstanceLaunchFailures: no g5.12xlarge in eu-central-1a"
    group = NodeGroup(cluster="c", nodegroup="gpu", status="DEGRADED", minimum=2, maximum=10, desired=3, issues=[issue])
    assert str(group) == f"gpu DEGRADED, 3 of 2–10; {issue}"


@pytest.mark.parametrize("where", [{"nodegroup": "none"}, {"cluster": "none"}])
def test_what_is_not_there(node_groups: NodeGroups, group: Group, where: dict[str, str]):
    with pytest.raises(NotFound, match=r"EKS answered 404 ResourceNotFoundException: No .* found for name: none"):
        node_groups.read(group.where.model_copy(update=where))


# -- resizing ---------------------------------------------------------------------------------------------


def test_one_more_node(node_groups: NodeGroups, group: Group):
    change = resized(node_groups, group.resize(3))
    assert str(change) == f"nodegroup/{group.name}: 2 nodes → 3 nodes"
    assert change.applied
    assert group.scaling == {"minSize": 2, "maxSize": 10, "desiredSize": 3}


def test_a_second_attempt_finds_what_the_first_one_did(node_groups: NodeGroups, group: Group):
    request = group.resize(3)
    first = resized(node_groups, request)
    again = resized(node_groups, request, attempt=2)
    assert again == first.model_copy(update={"applied": False, "note": "done by an earlier attempt"})
    assert group.desired == 3


def test_somebody_else_was_faster_with_the_same(node_groups: NodeGroups, group: Group):
    group.set(3)
    change = resized(node_groups, group.resize(3))
    assert (change.applied, change.after, change.note) == (False, "already 3 nodes", "")


def test_somebody_elses_size_is_left_alone(node_groups: NodeGroups, group: Group):
    group.set(5)
    with pytest.raises(Refused, match="is set to 5 nodes now, no longer to 2 nodes") as caught:
        resized(node_groups, group.resize(3))
    assert caught.value.non_retryable
    assert group.desired == 5


def test_back_again(node_groups: NodeGroups, group: Group):
    resized(node_groups, group.resize(3))
    assert resized(node_groups, group.resize(2, of=3)).applied
    assert group.desired == 2


@pytest.mark.parametrize("to", [1, 11])
@pytest.mark.parametrize("dry_run", [False, True])
def test_beyond_its_bounds(node_groups: NodeGroups, group: Group, to: int, *, dry_run: bool):
    with pytest.raises(Refused, match="outside of its bounds, 2 to 10"):
        resized(node_groups, group.resize(to, dry_run=dry_run))
    assert group.desired == 2


def test_a_plan_changes_nothing(node_groups: NodeGroups, group: Group):
    change = resized(node_groups, group.resize(3, dry_run=True))
    assert (change.applied, change.before, change.after) == (False, "2 nodes", "3 nodes")
    assert change.note == "plan only: within 2 to 10"
    assert group.desired == 2


def test_attempts_at_once_add_one_node(node_groups: NodeGroups, group: Group):
    request, changes = group.resize(3), []
    start = threading.Barrier(4)

    def attempt() -> None:
        start.wait()
        changes.append(resized(node_groups, request))

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(changes) == 4
    assert group.desired == 3


# -- a network and an AWS that misbehave ------------------------------------------------------------------


@dataclass
class Front:
    """Stands before moto; remembers what updates were asked for."""

    group: Group
    node_groups: NodeGroups
    wrong: Misbehaviour
    updates: list[dict[str, Any]]


@pytest.fixture
def front(aws: Aws, group: Group) -> Iterator[Front]:
    wrong, updates = Misbehaviour(), []

    async def forward(request: Request) -> Response:
        body = await request.body()
        if request.url.path.endswith("update-config"):
            updates.append(json.loads(body))
        kept = {k: v for k, v in request.headers.items() if k in {"authorization", "content-type", "x-amz-date"}}
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.request(request.method, f"{aws.url}{request.url.path}", headers=kept, content=body)
        return Response(answer.content, answer.status_code, headers={"content-type": "application/json"})

    with serving(Starlette(routes=[Route("/{path:path}", forward, methods=["GET", "POST"])]), wrong) as url:
        yield Front(group, _node_groups(url), wrong, updates)


def aws_error(status: int, code: str, message: str = "why", **headers: str) -> Response:
    return JSONResponse({"message": message}, status, headers={"x-amzn-errortype": code, **headers})


def test_a_lost_answer_is_found_again(front: Front):
    request = front.group.resize(3)
    front.wrong.lose_answer("update-config")
    with pytest.raises(Unavailable, match="EKS did not answer"):
        resized(front.node_groups, request)
    change = resized(front.node_groups, request, attempt=2)
    assert (change.applied, change.before, change.note) == (False, "2 nodes", "done by an earlier attempt")
    assert front.group.desired == 3
    assert len(front.updates) == 1


def test_an_update_is_known_by_its_effect(front: Front):
    one, other = front.group.resize(3), front.group.resize(3)
    for request in (one, one, other):
        resized(front.node_groups, request)
        front.group.set(2)
    first, again, another = (update["clientRequestToken"] for update in front.updates)
    assert first == again != another
    assert len(first) <= 64
    assert one.effect.key not in first


def test_another_update_under_way_is_a_conflict(front: Front):
    message = "Nodegroup cannot be updated as it is currently not in Active State"
    front.wrong.answer_instead("update-config", aws_error(409, "ResourceInUseException", message))
    with pytest.raises(Conflict, match=f"EKS answered 409 ResourceInUseException: {message}") as caught:
        resized(front.node_groups, front.group.resize(3))
    assert not caught.value.non_retryable
    assert front.group.desired == 2


@pytest.mark.parametrize(
    ("response", "failure"),
    [
        (aws_error(400, "ThrottlingException"), RateLimited),
        (aws_error(429, "TooManyRequestsException"), RateLimited),
        (aws_error(400, "InvalidParameterException"), Refused),
        (aws_error(400, "ResourceLimitExceededException"), Refused),
        (aws_error(403, "AccessDeniedException"), Refused),
        (aws_error(403, "ExpiredTokenException"), Refused),
        (aws_error(404, "ResourceNotFoundException"), NotFound),
        (aws_error(408, "RequestTimeoutException"), Unavailable),
        (aws_error(500, "ServerException"), Unavailable),
        (aws_error(503, "ServiceUnavailableException"), Unavailable),
    ],
    ids=lambda value: value.headers["x-amzn-errortype"] if isinstance(value, Response) else "",
)
def test_what_aws_answers_is_typed(front: Front, response: Response, failure: type[ActivityFailure]):
    front.wrong.answer_instead(front.group.name, response)
    with pytest.raises(failure) as caught:
        front.node_groups.read(front.group.where)
    assert type(caught.value) is failure
    code = response.headers["x-amzn-errortype"]
    assert caught.value.message == f"EKS answered {response.status_code} {code}: why"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(("says", "seconds"), [("7", 7), ("9" * 30, 600)])
def test_throttling_says_when_to_come_again(front: Front, says: str, seconds: int):
    throttled = aws_error(429, "ThrottlingException", **{"Retry-After": says})
    front.wrong.answer_instead("update-config", throttled)
    with pytest.raises(RateLimited) as caught:
        resized(front.node_groups, front.group.resize(3))
    assert caught.value.next_retry_delay == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "response",
    [
        HTMLResponse("<html>internal-host.example</html>", 502),
        HTMLResponse("<html>internal-host.example</html>"),
        PlainTextResponse("", 500),
        JSONResponse({}),
        JSONResponse({"nodegroup": {"status": "ACTIVE"}}),
    ],
    ids=["502", "no-json", "500", "nothing", "half"],
)
def test_what_is_no_answer_of_aws_is_a_passing_fault(front: Front, response: Response):
    front.wrong.answer_instead(front.group.name, response)
    with pytest.raises(Unavailable) as caught:
        front.node_groups.read(front.group.where)
    assert "internal-host" not in str(caught.value)


def test_a_long_message_is_cut(front: Front):
    front.wrong.answer_instead(front.group.name, aws_error(400, "InvalidParameterException", "x" * 100_000))
    with pytest.raises(Refused) as caught:
        front.node_groups.read(front.group.where)
    assert len(caught.value.message) < 500


def test_nobody_there(group: Group):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(Unavailable, match="EndpointConnectionError") as caught:
        _node_groups(f"http://{address}").read(group.where)
    assert address not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_somebody_there_who_never_answers(group: Group):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        node_groups = _node_groups(f"http://127.0.0.1:{silent.getsockname()[1]}", read_timeout=0.2)
        with pytest.raises(Unavailable, match="ReadTimeoutError"):
            node_groups.read(group.where)


def test_without_credentials(group: Group, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(Misconfigured, match=r"EKS: no credentials \(NoCredentialsError\)"):
        _node_groups(group.endpoint).read(group.where)


@pytest.mark.parametrize("status", [403, 404])
def test_a_body_that_is_not_aws_own_is_not_shown(front: Front, status: int):
    front.wrong.answer_instead(front.group.name, HTMLResponse("<html>internal-host.example</html>", status))
    with pytest.raises(ActivityFailure, match=f"^{'Refused' if status == 403 else 'NotFound'}: EKS answered {status}$"):
        front.node_groups.read(front.group.where)
