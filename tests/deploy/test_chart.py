"""deploy/chart: linted, its values checked, and installed and upgraded on an API server that asks who may do what."""

import json
import re
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from activities.accesses.sources import IngressLog, Sought
from activities.addresses.lists import IngressList
from activities.catalogue.security import AccessPolicy
from activities.credentials.secret_values import KeptSecrets
from activities.kubernetes.api import connect
from activities.kubernetes.deployments import Deployments
from sandbox import binaries, manifests
from sandbox.ready import ready
from sandbox.toolchain import keda
from tests.deploy.docker_compose import ROOT
from tests.deploy.guarded import RBAC, Guarded
from tests.plugins.patience import HANGS
from workers.queues import ORCHESTRATION, ROLES, Queues
from workers.settings import Settings

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]

CHART = ROOT / "deploy/chart"
FILES = ("--set-file", f"settings={ROOT}/deploy/runbooks.toml", "--set-file", f"routes={ROOT}/deploy/routes.toml")
DATABASE = "tensafe-database"
SPARES = [f"{DATABASE}-spare-1", f"{DATABASE}-spare-2"]
SERVERS = [DATABASE, f"{DATABASE}-primary", f"{DATABASE}-replica-1", *SPARES]
VALUES: dict[str, Any] = {
    "image": {"repository": "registry.example/durable-runbooks", "tag": "1"},
    "temporal": {"address": "temporal-frontend.temporal:7233"},
    "services": [
        {
            "namespace": "tensafe",
            "helm": True,
            "security": True,
            "credentials": SERVERS,
            "ingressNamespace": "ingress-nginx",
            "database": {
                "read": SERVERS,
                "change": [DATABASE, *SPARES],
            },
            "certificates": {"account": "acme-account", "tls": ["tensafe-tls"]},
        }
    ],
}
PEOPLE: dict[str, Any] = {
    "web": {
        "enabled": True,
        "baseUrl": "https://runbooks.example.com",
        "oidc": {"issuer": "https://id.example.com:8443/realm", "clientId": "runbooks"},
    },
    "statusPage": {"enabled": True},
    "slack": {"enabled": True, "backend": "slack"},
}
"""What is for people: none of it is there unless it is asked for."""
OWN_NAMESPACE = "runbooks"
CONTROLLED = {"enabled": True, "controller": {"enabled": True}}
SEPARATED = [role for role in ROLES if role != ORCHESTRATION]
BY_ROLE: dict[str, Any] = {
    "worker": {"roles": {role: {"replicas": 1} for role in SEPARATED} | {"database": {"secretKeys": ["tensafe_url"]}}},
    "slack": {"backend": "slack"},
}
"""A worker for each role that there is."""
HOLDS: dict[str, list[str]] = {
    "orchestration": ["records_url", "audit_private_key"],
    "kubernetes": ["records_url", "audit_private_key"],
    "database": ["records_url", "tensafe_url"],
    "aws": ["records_url"],
    "messages": ["records_url", "slack_token"],
    "compliance": ["records_url", "audit_private_key"],
    "security": ["records_url"],
}
"""Of each worker's secrets, all that it sees."""
SECRETS = {
    "worker": ["records_url", "audit_private_key", "slack_token"],
    "webhook": ["webhook_token"],
    "migrate": ["records_owner_url"],
    "web": ["records_url", "web_private_key", "web_secret", "oidc_client_secret"],
    "status-page": ["status_page_records_url"],
    "slack": ["records_url", "slack_private_key", "slack_token", "slack_app_token"],
}
"""Of each process, with all that the chart can make."""


def merged(*changes: Mapping[str, Any]) -> dict[str, Any]:
    """Give the values with some of them changed, a level deep."""
    values = dict(VALUES)
    for change in changes:
        for name, value in change.items():
            values[name] = {**values[name], **value} if isinstance(values.get(name), dict) else value
    return values


def helm(values: Mapping[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(binaries.find("helm")), *arguments, "--values=-", *FILES]
    return subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)


def rendered(*changes: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Give the objects that the chart makes, by kind and name."""
    done = helm(merged(*changes), "template", "runbooks", str(CHART), "--kube-version=1.33.0", f"-n={OWN_NAMESPACE}")
    assert done.returncode == 0, done.stderr
    found = [made for made in yaml.safe_load_all(done.stdout) if made]
    return {(made["kind"], made["metadata"]["name"]): made for made in found}


def container(workload: Mapping[str, Any]) -> dict[str, Any]:
    spec = workload["spec"]
    (found,) = (spec.get("jobTemplate") or workload)["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_it_has_no_lint() -> None:
    for change in ({}, PEOPLE):
        done = helm(merged(change), "lint", "--strict", str(CHART), "--kube-version=1.33.0")
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": {"repository": ""}}, "image.repository: name where you keep the image"),
        ({"temporal": {"address": ""}}, "temporal.address: host:port of Temporal's frontend"),
        ({"temporal": {"address": "temporal"}}, "address"),
        ({"worker": {"replicas": 0}}, "replicas"),
        ({"worker": {"replica": 2}}, "replica"),
        ({"environment": {"PATH": "/bin"}}, "PATH"),
        ({"image": {"digest": "sha256:1"}}, "digest"),
        ({"services": [{"helm": True}]}, "namespace"),
        ({"web": {"enabled": True}}, "web.baseUrl: where people reach the page"),
        ({"web": {**PEOPLE["web"], "oidc": {}}}, "web.oidc.issuer: the identity provider"),
        ({"web": {**PEOPLE["web"], "oidc": {"issuer": "https://id.example.com"}}}, "web.oidc.clientId"),
        ({"web": {**PEOPLE["web"], "baseUrl": "https://runbooks.example.com/"}}, "baseUrl"),
        ({"statusPage": {"enabled": True, "replicas": 0}}, "replicas"),
        ({"slack": {"backend": "teams"}}, "backend"),
        ({"worker": {"roles": {"watches": {}}}}, "watches"),
        ({"worker": {"roles": {"aws": {"replicas": 0}}}}, "replicas"),
        ({"worker": {"roles": {"database": {"secretKeys": ["../url"]}}}}, "secretKeys"),
        ({"worker": {"versioning": {**CONTROLLED, "alsoRun": ["1"]}}}, "the controller keeps older versions by itself"),
        ({"worker": {"versioning": CONTROLLED, "autoscaling": {"enabled": True}}}, "a WorkerResourceTemplate"),
        ({"worker": {"versioning": {**CONTROLLED, "controller": {"rollout": {"strategy": "Now"}}}}}, "strategy"),
    ],
)
def test_values_that_can_not_be_meant_are_refused(change: Mapping[str, Any], said: str) -> None:
    done = helm(merged(change), "template", "runbooks", str(CHART), "--kube-version=1.33.0")
    assert done.returncode != 0
    assert said in done.stderr


def test_the_workers_may_do_what_the_plain_role_says_and_no_more() -> None:
    """One rule: the chart's Roles are those of deploy/kubernetes, that other tests try out."""
    plain = {
        (made["kind"], made["metadata"]["name"]): made["rules"]
        for file in (RBAC, RBAC.with_name("rbac-security.yaml"))
        for made in yaml.safe_load_all(file.read_text())
        if "rules" in made
    }
    ours = {
        (kind, name.removeprefix(f"{OWN_NAMESPACE}-") if kind == "ClusterRole" else name): made["rules"]
        for (kind, name), made in rendered().items()
        if "rules" in made
    }
    assert ours == plain


def test_processes_have_the_settings_of_the_compose_file() -> None:
    """Those are run for real by test_processes.py; only where things are is something else here."""
    compose = yaml.safe_load((ROOT / "docker-compose.temporal.yml").read_text())["services"]
    objects = rendered(PEOPLE)
    processes = {
        "web": objects["Deployment", "runbooks-web"],
        "status-page": objects["Deployment", "runbooks-status-page"],
        "slack": objects["Deployment", "runbooks-slack"],
        "worker": objects["Deployment", "runbooks-worker"],
        "webhook": objects["Deployment", "runbooks-webhook"],
        "schedules": objects["Job", "runbooks-schedules"],
        "records-migrate": objects["Job", "runbooks-migrate"],
    }
    # A pod asks the cluster by its own account, and pods share no folder; which queue is the chart's to say.
    elsewhere = {
        "RUNBOOKS_KUBERNETES__KUBECONFIG",
        "RUNBOOKS_EVIDENCE__DIRECTORY",
        "RUNBOOKS_TEMPORAL__UI_URL",
        "RUNBOOKS_TEMPORAL__ROLES",
    }
    # What compose takes from whoever starts it.
    asked = {"RUNBOOKS_WEB__BASE_URL", "RUNBOOKS_WEB__OIDC__ISSUER", "RUNBOOKS_WEB__OIDC__CLIENT_ID"}
    asked |= {"RUNBOOKS_SLACK__BACKEND"}
    for name, workload in processes.items():
        found, there = container(workload), compose[name]
        settings = {one["name"]: one["value"] for one in found["env"]}
        assert found["command"] == there["command"]
        assert set(settings) - {"RUNBOOKS_TEMPORAL__TASK_QUEUE"} == set(there["environment"]) - elsewhere, name
        for setting, value in settings.items():
            from_compose = there["environment"][setting] if "TEMPORAL" not in setting else ""
            if setting in asked:
                assert from_compose.startswith("${RUNBOOKS_"), setting
            elif from_compose:
                assert value in {from_compose, re.sub(r"^\$\{\w+:\+(.+)\}$", r"\1", from_compose)}, setting
        section = {setting.removeprefix("RUNBOOKS_").partition("__")[0].lower() for setting in settings}
        assert section - {"config"} <= set(Settings.model_fields)
    assert container(objects["CronJob", "runbooks-schedules"]) == container(objects["Job", "runbooks-schedules"])


def test_each_process_has_its_own_secrets_and_no_way_to_be_more_than_it_is() -> None:
    objects = rendered(PEOPLE)
    mounted = {}
    for (kind, name), workload in objects.items():
        if kind not in {"Deployment", "Job", "CronJob"}:
            continue
        spec = workload["spec"]
        pod = (spec.get("jobTemplate") or workload)["spec"]["template"]["spec"]
        (volume,) = (one["secret"] for one in pod["volumes"] if "secret" in one)
        mounted[kind, name] = volume["secretName"], [one["key"] for one in volume["items"]]
        assert pod["securityContext"]["runAsNonRoot"]
        assert container(workload)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert pod["automountServiceAccountToken"] == (name == "runbooks-worker")
    assert mounted == {
        **{
            ("Deployment", f"runbooks-{name}"): (f"runbooks-{name}", keys)
            for name, keys in SECRETS.items()
            if name != "migrate"
        },
        ("Job", "runbooks-migrate"): ("runbooks-migrate", ["records_owner_url"]),
        ("Job", "runbooks-schedules"): ("runbooks-worker", ["audit_private_key"]),
        ("CronJob", "runbooks-schedules"): ("runbooks-worker", ["audit_private_key"]),
    }


def worker_of(role: str) -> str:
    return "runbooks-worker" if role == ORCHESTRATION else f"runbooks-worker-{role}"


def test_a_worker_of_a_role_has_the_settings_of_the_compose_file_and_its_own_secrets_alone() -> None:
    """Those are run for real by test_profiles.py."""
    compose = yaml.safe_load((ROOT / "docker-compose.temporal.yml").read_text())["services"]
    objects = rendered(BY_ROLE)
    elsewhere = {"RUNBOOKS_KUBERNETES__KUBECONFIG", "RUNBOOKS_EVIDENCE__DIRECTORY", "RUNBOOKS_TEMPORAL__UI_URL"}
    ours = {name for kind, name in objects if kind == "Deployment" and "worker" in name}
    assert ours == {worker_of(role) for role in ROLES}
    for role in ROLES:
        workload, there = objects["Deployment", worker_of(role)], compose[f"worker-{role}"]
        settings = {one["name"]: one["value"] for one in container(workload)["env"]}
        assert container(workload)["command"] == there["command"]
        assert set(settings) - {"RUNBOOKS_TEMPORAL__TASK_QUEUE"} == set(there["environment"]) - elsewhere, role
        assert settings["RUNBOOKS_WORKER__ROLES"] == there["environment"]["RUNBOOKS_WORKER__ROLES"]
        assert set(json.loads(settings["RUNBOOKS_TEMPORAL__ROLES"])) == set(SEPARATED)
        pod = workload["spec"]["template"]["spec"]
        (volume,) = (one["secret"] for one in pod["volumes"] if "secret" in one)
        assert volume["secretName"] == worker_of(role)
        assert sorted(one["key"] for one in volume["items"]) == sorted(HOLDS[role])
        assert pod["serviceAccountName"] == worker_of(role)
        # Who has nothing to ask of the cluster gets nothing to ask with; the same as who has a kubeconfig in compose.
        assert pod["automountServiceAccountToken"] == ("kubeconfig" in there["secrets"]), role


def test_what_is_not_separated_stays_with_the_worker_of_runs() -> None:
    objects = rendered({"worker": {"roles": {"messages": {}}}, "slack": {"backend": "slack"}})
    runs = objects["Deployment", "runbooks-worker"]
    assert runs["spec"]["template"]["spec"]["automountServiceAccountToken"]
    settings = {one["name"]: one["value"] for one in container(runs)["env"]}
    assert settings["RUNBOOKS_TEMPORAL__ROLES"] == '["messages"]'
    assert "RUNBOOKS_SLACK__TOKEN" not in settings
    bound = {who["name"] for made in objects.values() for who in made.get("subjects", [])}
    assert bound == {"runbooks-worker"}
    policy = objects["NetworkPolicy", "runbooks-worker"]["spec"]["podSelector"]["matchExpressions"]
    assert policy == [{"key": "app.kubernetes.io/component", "operator": "In", "values": ["worker", "worker-messages"]}]


def test_the_backlog_of_a_role_decides_how_many_workers_it_has() -> None:
    objects = rendered(BY_ROLE, {"worker": {**BY_ROLE["worker"], "autoscaling": {"enabled": True}}})
    queues = Queues("runbooks", roles=frozenset(SEPARATED))
    for role in ROLES:
        triggers = objects["ScaledObject", worker_of(role)]["spec"]["triggers"]
        assert [one["metadata"]["taskQueue"] for one in triggers] == [name for name, _, _ in queues.taken([role])]
        kinds = [one["metadata"]["queueTypes"] for one in triggers]
        assert kinds == (["workflow,activity", "activity"] if role == ORCHESTRATION else ["activity", "activity"])


def test_nothing_of_peoples_is_there_unless_asked_for() -> None:
    parts = ("web", "status-page", "slack")
    assert not [name for _, name in rendered() if name.removeprefix("runbooks-") in parts]
    worker = container(rendered()["Deployment", "runbooks-worker"])
    assert "RUNBOOKS_SLACK__TOKEN" not in {one["name"] for one in worker["env"]}
    for part, value in (("web", "web"), ("status-page", "statusPage"), ("slack", "slack")):
        kinds = {kind for kind, name in rendered({value: PEOPLE[value]}) if name == f"runbooks-{part}"}
        service = set() if part == "slack" else {"Service"}
        assert kinds == {"Deployment", "PodDisruptionBudget", "NetworkPolicy"} | service, part


def test_pages_and_slack_go_where_they_must_and_nobody_comes_in_unless_named() -> None:
    ingress = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}

    def policy(part: str, *changes: Mapping[str, Any]) -> Any:
        return rendered(PEOPLE, *changes)["NetworkPolicy", f"runbooks-{part}"]["spec"]

    def out(part: str) -> set[int]:
        return {int(port["port"]) for rule in policy(part)["egress"] for port in rule["ports"]}

    assert out("web") == {53, 7233, 5432, 8443}
    assert out("status-page") == {53, 5432}
    assert out("slack") == {53, 7233, 5432, 443}
    for part in ("web", "status-page", "slack"):
        assert policy(part)["ingress"] == [], part
        assert set(policy(part)["policyTypes"]) == {"Ingress", "Egress"}
    assert policy("web", {"web": {"from": [ingress]}})["ingress"] == [{"from": [ingress], "ports": [{"port": "http"}]}]


def test_a_page_stays_while_temporal_is_away_and_slack_takes_over_only_when_it_listens() -> None:
    objects = rendered(PEOPLE)

    def asked(part: str, probe: str) -> str:
        return str(container(objects["Deployment", f"runbooks-{part}"])[probe]["httpGet"]["path"])

    assert {part: asked(part, "readinessProbe") for part in ("web", "status-page", "slack", "webhook")} == {
        "web": "/healthz",
        "status-page": "/healthz",
        "slack": "/readyz",
        "webhook": "/readyz",
    }
    # Without records it has nothing to show yet.
    assert asked("status-page", "startupProbe") == "/"
    assert {asked(part, "livenessProbe") for part in ("web", "status-page", "slack", "webhook")} == {"/healthz"}


def test_other_settings_are_other_pods_and_another_size_is_not() -> None:
    def settings(*changes: Mapping[str, Any]) -> str:
        return str(rendered(*changes)["Deployment", "runbooks-worker"]["spec"]["template"])

    assert settings() == settings({"worker": {"replicas": 5}})
    assert settings() != settings({"environment": {"RUNBOOKS_OBSERVABILITY__LOG_LEVEL": "debug"}})


def test_the_backlog_decides_how_many_there_are_if_it_is_to() -> None:
    objects = rendered({"worker": {"autoscaling": {"enabled": True, "maxReplicas": 6}}})
    scaled = objects["ScaledObject", "runbooks-worker"]["spec"]
    assert scaled["maxReplicaCount"] == 6
    assert scaled["triggers"][0]["metadata"] == {
        "endpoint": "temporal-frontend.temporal:7233",
        "namespace": "default",
        "taskQueue": "runbooks",
        "queueTypes": "workflow,activity",
        "targetQueueSize": "20",
    }
    watches = Queues("runbooks").named(ORCHESTRATION, watches=True)
    assert [one["metadata"]["taskQueue"] for one in scaled["triggers"]] == ["runbooks", watches]
    # Else Helm would set it back at each upgrade.
    assert "replicas" not in objects["Deployment", "runbooks-worker"]["spec"]


def test_temporals_worker_controller_is_given_the_very_pods_that_the_chart_would_make() -> None:
    """The controller itself is on no registry that these tests reach: what it is given is held against its types."""
    versioning = {**CONTROLLED, "controller": {"enabled": True, "connection": {"tls": {"serverName": "x"}}}}
    plain, controlled = (
        rendered(BY_ROLE),
        rendered(BY_ROLE, {"worker": {**BY_ROLE["worker"], "versioning": versioning}}),
    )
    workers = {name: made for (kind, name), made in plain.items() if kind == "Deployment" and "-worker" in name}
    found = {name: made["spec"] for (kind, name), made in controlled.items() if kind == "WorkerDeployment"}
    assert len(found) == len(ROLES)
    assert {name: spec["template"] for name, spec in found.items()} == {
        name: made["spec"]["template"] for name, made in workers.items()
    }
    assert not any(kind == "Deployment" and "-worker" in name for kind, name in controlled)
    assert set(found["runbooks-worker"]) == {"replicas", "template", "rollout", "sunset", "workerOptions"}
    assert found["runbooks-worker"]["workerOptions"] == {
        "connectionRef": {"name": "runbooks-temporal"},
        "temporalNamespace": "default",
    }
    assert [step["rampPercentage"] for step in found["runbooks-worker"]["rollout"]["steps"]] == [10, 50]
    assert controlled["Connection", "runbooks-temporal"]["spec"] == {
        "hostPort": VALUES["temporal"]["address"],
        "tls": {"serverName": "x"},
    }
    assert {kind for kind, _ in set(controlled) - set(plain)} == {"WorkerDeployment", "Connection"}


def test_an_older_version_goes_on_beside_the_one_that_is_put_in_place() -> None:
    versioned = {"versioning": {"enabled": True, "deployment": "runbooks", "alsoRun": ["v1.2_3"]}}
    objects = rendered({"worker": {**versioned, "autoscaling": {"enabled": True}}})
    found = {name: made for (kind, name), made in objects.items() if kind == "Deployment" and "worker" in name}
    assert set(found) == {"runbooks-worker-1", "runbooks-worker-v1-2-3"}
    older = found["runbooks-worker-v1-2-3"]
    assert container(older)["image"] == "registry.example/durable-runbooks:v1.2_3"
    settings = {one["name"]: one["value"] for one in container(older)["env"]}
    assert (settings["RUNBOOKS_WORKER__DEPLOYMENT"], settings["RUNBOOKS_WORKER__BUILD_ID"]) == ("runbooks", "v1.2_3")
    # Neither Deployment takes the other's pods for its own.
    chosen = [one["spec"]["selector"]["matchLabels"] for one in found.values()]
    assert {one["runbooks/build-id"] for one in chosen} == {"1", "v1.2_3"}
    trigger = objects["ScaledObject", "runbooks-worker-v1-2-3"]["spec"]["triggers"][0]["metadata"]
    assert (trigger["workerDeploymentName"], trigger["workerDeploymentBuildId"]) == ("runbooks", "v1.2_3")


def test_nobody_posts_unless_named_and_the_webhook_reaches_temporal_only() -> None:
    alertmanager = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    assert rendered()["NetworkPolicy", "runbooks-webhook"]["spec"]["ingress"] == []
    policy = rendered({"webhook": {"from": [alertmanager]}})["NetworkPolicy", "runbooks-webhook"]["spec"]
    assert policy["ingress"] == [{"from": [alertmanager], "ports": [{"port": "http"}]}]
    assert [port["port"] for rule in policy["egress"] for port in rule["ports"]] == [53, 53, 7233]


class Installed:
    """The chart in a cluster that enforces its Roles."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig

    def helm(self, values: Mapping[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
        where = (f"--kubeconfig={self._kubeconfig}", f"--namespace={OWN_NAMESPACE}")
        return helm(values, *arguments, str(CHART), *where, "--wait", "--timeout=4m")

    def kubectl(self, *arguments: str) -> str:
        command = [str(binaries.find("kubectl")), f"--kubeconfig={self._kubeconfig}", *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()

    def may(self, verb: str, what: str, *where: str, account: str = "runbooks-worker") -> bool:
        who = f"--as=system:serviceaccount:{OWN_NAMESPACE}:{account}"
        return self.kubectl("auth", "can-i", verb, what, who, *where) == "yes"

    @contextmanager
    def api(self, account: str, directory: Path) -> Iterator[client.ApiClient]:
        """Connect as the worker of an account would, with its token; as the administrator where none is named."""
        config = yaml.safe_load(self._kubeconfig.read_text())
        if account:
            token = self.kubectl("create", "token", account, f"--namespace={OWN_NAMESPACE}")
            config["users"][0]["user"] = {"token": token}
        kubeconfig = directory / f"{account or 'administrator'}.yaml"
        kubeconfig.write_text(yaml.safe_dump(config))
        with connect(kubeconfig) as api:
            yield api

    def pods(self, component: str) -> set[str]:
        chosen = f"--selector=app.kubernetes.io/component={component}"
        living = "--field-selector=status.phase=Running"
        return set(self.kubectl("get", "pods", f"-n={OWN_NAMESPACE}", chosen, living, "--output=name").split())

    def settled(self, component: str, number: int) -> set[str]:
        """Give the pods once there are so many: those of before take a moment to go."""
        ends = time.monotonic() + HANGS
        while time.monotonic() < ends:
            if len(found := self.pods(component)) == number:
                return found
            time.sleep(0.1)
        pytest.fail(f"never {number}: {found}")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    with ready(Guarded(tmp_path_factory.mktemp("chart"))) as server:
        manifests.apply_nodes(server.kubeconfig, keda_definition=keda.definition())
        manifests.apply_service(server.kubeconfig, "tensafe")
        there = Installed(server.kubeconfig)
        there.kubectl("create", "namespace", OWN_NAMESPACE)
        there.kubectl("create", "namespace", "ingress-nginx")
        of_roles = {f"worker-{role}": HOLDS[role] for role in SEPARATED}
        for name, keys in {**SECRETS, **of_roles}.items():
            literals = [f"--from-literal={key}=x" for key in keys]
            there.kubectl("create", "secret", "generic", f"runbooks-{name}", *literals, f"-n={OWN_NAMESPACE}")
        done = there.helm(VALUES, "install", "runbooks")
        assert done.returncode == 0, done.stderr
        yield there


def test_installed_it_runs_two_of_each(installed: Installed) -> None:
    assert (len(installed.pods("worker")), len(installed.pods("webhook"))) == (2, 2)
    budgets = installed.kubectl("get", "poddisruptionbudgets", f"-n={OWN_NAMESPACE}", "--output=name").split()
    assert len(budgets) == 2
    # Hooks that have ended well are taken away.
    assert installed.kubectl("get", "jobs", f"-n={OWN_NAMESPACE}", "--output=name") == ""


@pytest.mark.parametrize(
    ("verb", "what", "where", "may"),
    [
        ("patch", "deployments.apps", "-n=tensafe", True),
        ("patch", "horizontalpodautoscalers.autoscaling", "-n=tensafe", True),
        ("get", f"secrets/{DATABASE}", "-n=tensafe", True),
        ("list", "nodes", "-A", True),
        ("delete", "pods", "-n=tensafe", False),
        ("patch", "nodes", "-A", True),
        ("delete", "nodes", "-A", False),
        ("patch", "deployments.apps", "-n=default", False),
        ("get", "secrets/runbooks-migrate", f"-n={OWN_NAMESPACE}", False),
        ("patch", "deployments.apps", f"-n={OWN_NAMESPACE}", False),
        ("create", "rolebindings.rbac.authorization.k8s.io", "-n=tensafe", False),
        ("*", "*", "-A", False),
    ],
)
def test_the_workers_account_may(installed: Installed, verb: str, what: str, where: str, *, may: bool) -> None:
    assert installed.may(verb, what, where) is may


def test_an_upgrade_brings_what_is_for_people_and_takes_it_away_again(installed: Installed) -> None:
    workers = installed.pods("worker")
    done = installed.helm(merged(PEOPLE, {"slack": {"backend": "records"}}), "upgrade", "runbooks")
    assert done.returncode == 0, done.stderr
    parts = ("web", "status-page", "slack")
    assert {part: len(installed.settled(part, 2)) for part in parts} == dict.fromkeys(parts, 2)
    assert installed.pods("worker") == workers
    made = installed.kubectl("get", "services,networkpolicies,poddisruptionbudgets", f"-n={OWN_NAMESPACE}", "-o=name")
    assert sum(name.rpartition("/")[2].removeprefix("runbooks-") in parts for name in made.split()) == 8
    # They have no account of their own, and the one that every pod has may do nothing.
    for verb, what in (("get", "pods"), ("get", "secrets"), ("patch", "deployments.apps"), ("create", "jobs.batch")):
        for namespace in (OWN_NAMESPACE, "tensafe"):
            assert not installed.may(verb, what, f"-n={namespace}", account="default"), (verb, what, namespace)
    assert installed.helm(VALUES, "upgrade", "runbooks").returncode == 0
    for part in parts:
        installed.settled(part, 0)


def test_an_upgrade_brings_other_pods_and_the_same_one_none(installed: Installed) -> None:
    before = installed.pods("worker")
    assert installed.helm(VALUES, "upgrade", "runbooks").returncode == 0
    assert installed.pods("worker") == before
    values = merged({"image": {"tag": "2"}, "worker": {"replicas": 3}, "services": []})
    done = installed.helm(values, "upgrade", "runbooks")
    assert done.returncode == 0, done.stderr
    assert len(installed.pods("worker") - before) == 3
    # What a service's namespace is no longer given is gone.
    assert not installed.may("patch", "deployments.apps", "-n=tensafe")


def test_with_versions_the_old_workers_stay_until_they_are_let_go(installed: Installed) -> None:
    def values(tag: str, *older: str) -> dict[str, Any]:
        versioning = {"enabled": True, "deployment": "runbooks", "alsoRun": list(older)}
        return merged({"image": {"tag": tag}, "worker": {"versioning": versioning}})

    assert installed.helm(values("2"), "upgrade", "runbooks").returncode == 0
    second = installed.settled("worker", 2)
    assert installed.helm(values("3", "2"), "upgrade", "runbooks").returncode == 0
    both = installed.settled("worker", 4)
    assert second < both
    assert installed.helm(values("3"), "upgrade", "runbooks").returncode == 0
    assert installed.settled("worker", 2) == both - second


@pytest.fixture(scope="module")
def separated(installed: Installed) -> Installed:
    """With a worker for each role, until the cluster ends."""
    services = [{**VALUES["services"][0], "helm": False, "credentials": [DATABASE, "tensafe-login"]}]
    services[0].pop("certificates")
    done = installed.helm(merged(BY_ROLE, {"services": services}), "upgrade", "runbooks")
    assert done.returncode == 0, done.stderr
    return installed


def test_separated_each_role_has_its_own_pods(separated: Installed) -> None:
    assert {role: len(separated.settled(f"worker-{role}", 2 if role == "database" else 1)) for role in SEPARATED}
    assert len(separated.settled("worker", 2)) == 2


EVERYWHERE = ""
IN_THE_CLUSTER: list[tuple[set[str], str, str, str]] = [
    ({"kubernetes"}, "patch", "apps/deployments", "tensafe"),
    ({"kubernetes", "security"}, "get", "apps/deployments", "tensafe"),
    ({"kubernetes"}, "create", "batch/jobs", "tensafe"),
    ({"kubernetes"}, "patch", "autoscaling/horizontalpodautoscalers", "tensafe"),
    ({"kubernetes", "security"}, "patch", "networking.k8s.io/ingresses", "tensafe"),
    ({"kubernetes"}, "create", "networking.k8s.io/networkpolicies", "tensafe"),
    ({"kubernetes"}, "patch", "/pods", "tensafe"),
    ({"kubernetes"}, "create", "/pods/eviction", "tensafe"),
    ({"kubernetes"}, "patch", "/nodes", EVERYWHERE),
    ({"kubernetes"}, "list", "/nodes", EVERYWHERE),
    ({"kubernetes", "security"}, "list", "/pods", "ingress-nginx"),
    # Pods of every namespace are read for a drain, which is no part of the role `security`.
    ({"kubernetes"}, "list", "/pods", "default"),
    ({"security"}, "patch", "/secrets//tensafe-login", "tensafe"),
    ({"kubernetes", "security"}, "get", f"/secrets//{DATABASE}", "tensafe"),
    (set(), "list", "/secrets", "tensafe"),
    (set(), "patch", "apps/deployments", "default"),
    (set(), "get", "/secrets", OWN_NAMESPACE),
    (set(), "create", "rbac.authorization.k8s.io/rolebindings", "tensafe"),
    (set(), "create", "/serviceaccounts/token", OWN_NAMESPACE),
    ({"compliance"}, "list", "rbac.authorization.k8s.io/clusterroles", EVERYWHERE),
]
"""Which roles' accounts may do what, as verb, GROUP/RESOURCE/SUBRESOURCE/NAME and namespace; no others may."""


def test_the_account_of_a_role_may_do_its_own_steps_and_none_of_others(separated: Installed, tmp_path: Path) -> None:
    with separated.api("", tmp_path) as api:

        def may(role: str, verb: str, what: str, namespace: str) -> bool:
            group, resource, subresource, name = [*what.split("/"), "", ""][:4]
            asked: dict[str, Any] = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
            asked |= {"subresource": subresource, "name": name}
            who = f"system:serviceaccount:{OWN_NAMESPACE}:{worker_of(role)}"
            review: Any = {"spec": {"user": who, "resourceAttributes": asked}}
            answer: Any = client.AuthorizationV1Api(api).create_subject_access_review(review)
            return bool(answer.status.allowed)

        for roles, *asked in IN_THE_CLUSTER:
            assert {role for role in ROLES if may(role, *asked)} == roles, asked


def test_calls_that_are_no_part_of_a_role_are_refused(separated: Installed, tmp_path: Path) -> None:
    def refused(call: Callable[..., object], *where: str) -> bool:
        try:
            call(*where)
        except client.ApiException as error:
            return bool(error.status == HTTPStatus.FORBIDDEN)
        return False

    with separated.api("", tmp_path) as api:
        core, apps, rights = client.CoreV1Api(api), client.AppsV1Api(api), client.RbacAuthorizationV1Api(api)
        for role in ROLES:
            api.default_headers["Impersonate-User"] = f"system:serviceaccount:{OWN_NAMESPACE}:{worker_of(role)}"
            assert refused(core.list_namespaced_pod, "tensafe") is (role != "kubernetes"), role
            assert refused(rights.list_cluster_role) is (role != "compliance"), role
            read = refused(apps.read_namespaced_deployment, "tensafe-server", "tensafe")
            assert read is (role not in {"kubernetes", "security"}), role
            assert refused(core.delete_collection_namespaced_pod, "tensafe"), role
            assert refused(core.list_namespaced_secret, OWN_NAMESPACE), role


def test_steps_of_the_role_security_are_done_by_its_own_account(separated: Installed, tmp_path: Path) -> None:
    separated.kubectl("create", "secret", "generic", DATABASE, "--from-literal=url=x", "--namespace=tensafe")
    with separated.api("runbooks-worker-security", tmp_path) as api:
        entrance = IngressList(client.NetworkingV1Api(api), "tensafe", "tensafe-server")
        entrance.change(lambda before: before | {"203.0.113.7/32"}, dry_run=False)
        assert entrance.read() == {"203.0.113.7/32"}
        core = client.CoreV1Api(api)
        core.patch_namespaced_secret(DATABASE, "tensafe", {"stringData": {"url": "y"}})
        assert KeptSecrets(core).read("tensafe", DATABASE).raw["data"]["url"] == b64encode(b"y").decode()
        assert Deployments(client.AppsV1Api(api)).read("tensafe", "tensafe-server").revision
        policy = AccessPolicy(controller_namespace="ingress-nginx", controller_selector="app=ingress")
        now = datetime.now(UTC)
        sought = Sought("tensafe-server", "tensafe", policy, now - timedelta(hours=1), now)
        assert list(IngressLog(core).read(sought)) == []
        assert sought.unreadable == ["no pod of app=ingress in ingress-nginx"]
