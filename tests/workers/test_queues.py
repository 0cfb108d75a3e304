"""Which task queue a step is in, and what a worker of some roles asks for work."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from activities.autoscaling.autoscalers import Autoscalers
from activities.autoscaling.node_groups import NodeGroups
from activities.catalogue.lookup import Catalogue
from activities.evidence.archive import Archive
from activities.kubernetes.cluster import Kubernetes
from activities.messages.paging.paging import Paging
from tests.workers.wired import KUBECONFIG, settings
from workers.queues import ORCHESTRATION, ROLES, Queues, Role, name_of, role_of
from workers.settings import KubernetesSettings, Settings, TemporalSettings, WorkerSettings
from workers.wiring import wire
from workflows.platform import policies

ROLLOUT, DEPLOYMENT, PAGE = name_of(Kubernetes.await_rollout), name_of(Kubernetes.deployment), name_of(Paging.page)
OF_ACTIVITY: dict[str, Role] = {ROLLOUT: "kubernetes", DEPLOYMENT: "kubernetes", PAGE: "messages"}


@pytest.mark.parametrize(
    ("kind", "role"),
    [
        (Catalogue, ORCHESTRATION),
        (Archive, ORCHESTRATION),
        (Autoscalers, "kubernetes"),
        (NodeGroups, "aws"),
        (Kubernetes, "kubernetes"),
        (Paging, "messages"),
    ],
)
def test_where_a_class_is_says_what_it_needs(kind: type, role: Role) -> None:
    assert role_of(kind) == role


@pytest.mark.parametrize(
    ("roles", "watches", "activity", "longest", "queue"),
    [
        (set(), True, DEPLOYMENT, policies.READ.start_to_close, "q"),
        (set(), True, ROLLOUT, policies.WAIT.start_to_close, "q-watches"),
        (set(), True, ROLLOUT, policies.WAIT.lasting(timedelta(0)).start_to_close, "q"),
        (set(), False, ROLLOUT, policies.WAIT.start_to_close, "q"),
        ({"kubernetes"}, True, DEPLOYMENT, policies.READ.start_to_close, "q-kubernetes"),
        ({"kubernetes"}, True, ROLLOUT, policies.WAIT.start_to_close, "q-kubernetes-watches"),
        ({"kubernetes"}, True, PAGE, policies.EFFECT.start_to_close, "q"),
        ({"kubernetes", ORCHESTRATION}, True, "not ours", None, "q"),
    ],
)
def test_a_step_is_where_its_role_and_its_length_put_it(
    roles: set[Role], watches: object, activity: str, longest: timedelta | None, queue: str
) -> None:
    queues = Queues("q", frozenset(roles), bool(watches), OF_ACTIVITY)
    assert queues.of(activity, longest) == queue


def test_only_waits_and_collections_are_watches() -> None:
    long = {
        name
        for name in dir(policies)
        if isinstance(one := getattr(policies, name), policies.Policy)
        and Queues("q").of("any", one.start_to_close) == "q-watches"
    }
    assert long == {"WAIT", "COLLECT", "CHILD"}


def test_between_them_workers_take_every_queue_that_steps_are_put_into() -> None:
    queues = Queues("q", frozenset(ROLES), watches=True, of_activity={role: role for role in ROLES})
    taken = {queue for role in ROLES for queue, _, _ in queues.taken([role])}
    put = {queues.of(role, longest) for role in ROLES for longest in (None, timedelta(hours=1))}
    assert taken == put
    assert len(taken) == 2 * len(ROLES)


def test_a_worker_has_the_systems_of_its_roles_alone_and_needs_no_access_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig_file = tmp_path / "kubeconfig"
    kubeconfig_file.write_text(json.dumps(KUBECONFIG), encoding="utf-8")
    monkeypatch.setenv("HOME", "/nowhere")
    separate: tuple[Role, ...] = ("kubernetes", "database", "aws", "messages", "compliance", "security")
    everything: set[str] = set()
    for role in ROLES:
        access: dict[str, Any] = (
            {"kubernetes": KubernetesSettings(kubeconfig=kubeconfig_file)}
            if role in {"kubernetes", "compliance", "security"}
            else {}
        )
        alone = Settings(**access, temporal=TemporalSettings(roles=separate), worker=WorkerSettings(roles=(role,)))
        with wire(alone) as wired:
            assert set(wired.steps) == {role}
            names = {name_of(activity) for activity in wired.activities}
            assert names
            assert not names & everything, "two roles have it"
            wired.warm_up()  # would not find what it has no access to
            everything |= names
    with wire(settings(kubeconfig_file)) as wired:
        assert {name_of(activity) for activity in wired.activities} == everything
        assert set(wired.steps) == set(ROLES)
