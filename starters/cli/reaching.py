"""Asks each outside system that the settings name whether it is reached, and whether we may do there what runs do.

Of `runbooks config check`. Nothing is sent that anybody would see, and nothing is changed.
"""

import asyncio
import os
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx
from pydantic import SecretStr
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, DescribeTaskQueueRequest
from temporalio.service import RPCError

from activities.database.servers.servers import OnServer
from activities.kubernetes import access
from activities.kubernetes import api as kubernetes_api
from activities.kubernetes.access import Permission
from activities.messages.mail.servers import SmtpServer
from audit.text import counted
from libraries import aws_config, boto3
from records_schema import status as schema_status
from starters.cli.findings import Finding, look
from starters.steering.errors import SteeringError
from starters.steering.session import open_session
from workers.databases import databases
from workers.settings import Settings, SettingsError

_SECONDS = 3
_OK_KEY = "ok"
"""Slack's answers say in it whether they are one."""


async def systems(settings: Settings) -> list[Finding]:
    """Ask all of them; one that is out of reach hides no other."""
    return [await _temporal(settings), *await asyncio.to_thread(lambda: list(_others(settings)))]


async def _temporal(settings: Settings) -> Finding:
    temporal = settings.temporal
    try:
        client = (await open_session(settings)).client
        service = client.workflow_service
        await service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
        queue = await service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace,
                task_queue=TaskQueue(name=temporal.task_queue),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            )
        )
    except SteeringError as error:
        return Finding("Temporal", fine=False, seen=str(error))
    except (RPCError, SettingsError, ValueError) as error:
        return Finding("Temporal", fine=False, seen=f"{temporal.address}: {error}")
    working = counted(len(queue.pollers), "worker") if queue.pollers else "no worker yet"
    return Finding(
        "Temporal",
        fine=True,
        seen=f"answers: namespace {client.namespace}, task queue {temporal.task_queue}, {working}",
    )


def _others(settings: Settings) -> Iterator[Finding]:
    yield look("records", lambda: _records(settings))
    yield from _kubernetes(settings)
    with httpx.Client(timeout=_SECONDS) as http:
        yield look("Prometheus", lambda: _get(http, f"{settings.prometheus.url.rstrip('/')}/api/v1/query?query=1"))
        if url := settings.alertmanager.url:
            yield look("Alertmanager", lambda: _get(http, f"{url.rstrip('/')}/api/v2/status"))
        yield from _messages(http, settings)
        ci = settings.ci
        if ci.backend == "github":
            yield look("GitHub", lambda: _get(http, f"{ci.base_url.rstrip('/')}/rate_limit", _bearer(ci.token)))
    if directory := settings.acme.directory:
        yield look("ACME", lambda: _acme(settings, directory))
    if settings.mail.backend == "smtp":
        yield look("mail", lambda: _mail(settings))
    yield from _evidence(settings)
    yield from _aws(settings)
    for name, section in sorted(settings.databases.items()):
        spare = _spares(settings, name)
        for one in sorted(set(section.servers) - spare):  # those need not run before something is restored into them
            yield look(f"database {name}/{one}", partial(server, settings, name, one))


# -- each of them ----------------------------------------------------------------------------------------


def _records(settings: Settings) -> tuple[bool, str]:
    found = schema_status(settings.records.url, wait=_SECONDS)
    if not found.up_to_date:
        missing = counted(len(found.pending), "migration")
        return False, f"answers, but {missing} behind: `python -m records_schema migrate`"
    return True, f"answers, schema {found.current}"


def needed(settings: Settings) -> list[Permission]:
    """List what runs do in the cluster, as `deploy/kubernetes/rbac.yaml` allows it."""
    wanted: dict[Permission, None] = {}
    for service in settings.services.values():
        where = service.namespace
        kinds = {one.kind for one in service.other_workloads}
        told = [
            ("get", "deployments", "apps"),
            ("patch", "deployments", "apps"),
            ("list", "replicasets", "apps"),
            ("list", "pods", ""),
            ("list", "events", ""),
            ("get", "pods/log", ""),
        ]
        if service.hpa:
            told += [(verb, "horizontalpodautoscalers", "autoscaling") for verb in ("get", "patch")]
        if service.scaled_object:
            told += [(verb, "scaledobjects", "keda.sh") for verb in ("get", "patch")]
        if "StatefulSet" in kinds:
            told += [(verb, "statefulsets", "apps") for verb in ("get", "patch")]
        if "CronJob" in kinds:
            told += [(verb, "cronjobs", "batch") for verb in ("get", "patch")]
        if service.recovery.traffic.mode == "ingress":
            told += [(verb, "ingresses", "networking.k8s.io") for verb in ("get", "patch")]
        if service.release:  # Helm may keep a release's history there
            told += [("list", "configmaps", "")]
        if (service.release and service.release.smoke_job) or service.recovery.test_job:
            told += [(verb, "jobs", "batch") for verb in ("get", "create", "delete")]
        wanted |= {Permission(where, verb, resource, group): None for verb, resource, group in told}
        if service.gpu:
            wanted[Permission("", "list", "nodes")] = None
    return list(wanted)


def _kubernetes(settings: Settings) -> Iterator[Finding]:
    wanted = needed(settings)
    if not wanted:
        return
    kubeconfig = settings.kubernetes.kubeconfig

    def permitted() -> tuple[bool, str]:
        api = kubernetes_api.connect(settings.path(kubeconfig) if kubeconfig else None, settings.kubernetes.context)
        with api:
            missing = access.refused(api, wanted)
        if missing:
            return False, f"answers, but forbids: {', '.join(map(str, missing))} (see deploy/kubernetes/rbac.yaml)"
        return True, f"answers, and permits {counted(len(wanted), 'thing')} that runs do there"

    yield look("Kubernetes", permitted)


def _messages(http: httpx.Client, settings: Settings) -> Iterator[Finding]:
    slack, paging, page = settings.slack, settings.paging, settings.statuspage
    if slack.backend == "slack":
        yield look("Slack", lambda: _slack(http, slack.base_url, slack.token))
    if paging.backend == "pagerduty":
        yield look("PagerDuty", lambda: _pagerduty(http, paging.base_url))
    if page.backend == "statuspage" and page.api_key is not None:
        key = {"Authorization": f"OAuth {page.api_key.get_secret_value()}"}
        yield look("Statuspage", lambda: _get(http, f"{page.base_url.rstrip('/')}/v1/pages/{page.page_id}", key))


def _slack(http: httpx.Client, url: str, token: SecretStr | None) -> tuple[bool, str]:
    answer = http.post(f"{url.rstrip('/')}/auth.test", headers=_bearer(token))
    said = answer.json() if answer.is_success else {}
    if not said.get(_OK_KEY):
        return False, f"{url}: {said.get('error') or f'HTTP {answer.status_code}'}"
    return True, f"lets us in as {said.get('user')} of {said.get('team')}"


def _pagerduty(http: httpx.Client, url: str) -> tuple[bool, str]:
    """See whether somebody answers there: only a page could tell whether the key is right."""
    http.get(url)
    return True, f"{url} answers; whether the routing key is right, only a page can tell"


def _acme(settings: Settings, directory: str) -> tuple[bool, str]:
    authority = settings.acme.ca_file
    trusted = ssl.create_default_context(cafile=settings.path(authority)) if authority else True
    with httpx.Client(timeout=_SECONDS, verify=trusted) as http:
        return _get(http, directory)


def _mail(settings: Settings) -> tuple[bool, str]:
    mail = settings.mail
    login = (mail.user, mail.password) if mail.user and mail.password else None
    SmtpServer(mail.host, mail.port, mail.security, login).greet()
    return True, f"{mail.host}:{mail.port} answers{', and lets us in' if login else ''}"


def _evidence(settings: Settings) -> Iterator[Finding]:
    evidence = settings.evidence
    if evidence.backend == "s3":
        store = _client("s3", evidence.region, evidence.endpoint_url)
        yield look("evidence", lambda: _asked(f"bucket {evidence.bucket}", store.head_bucket, Bucket=evidence.bucket))
        return
    folder = settings.path(evidence.directory)
    there = next(one for one in (folder, *folder.parents) if one.exists())
    fine = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    yield Finding("evidence", fine, f"{folder}: {'can be written' if fine else f'{there} can not be written'}")


def _aws(settings: Settings) -> Iterator[Finding]:
    audit = settings.audit
    if audit.kms_key_id:
        kms = _client("kms", audit.region, audit.endpoint_url)
        yield look("KMS", lambda: _asked(f"key {audit.kms_key_id}", kms.get_public_key, KeyId=audit.kms_key_id))
    if audit.bucket:
        store = _client("s3", audit.region, audit.endpoint_url)
        yield look("audit copies", lambda: _asked(f"bucket {audit.bucket}", store.head_bucket, Bucket=audit.bucket))
    groups = {(one.gpu.cluster, one.gpu.nodegroup) for one in settings.services.values() if one.gpu}
    for cluster, group in sorted(groups):
        eks = _client("eks", settings.aws.region, settings.aws.endpoint_url)
        named = {"clusterName": cluster, "nodegroupName": group}
        yield look("EKS", partial(_asked, f"{cluster}/{group}", eks.describe_nodegroup, **named))


def _client(service: Any, region: str | None, endpoint: str | None) -> Any:
    options = aws_config.Config(retries={"total_max_attempts": 1}, connect_timeout=_SECONDS, read_timeout=_SECONDS)
    region = region or boto3.session.Session().region_name or "us-east-1"
    return boto3.client(service, region_name=region, endpoint_url=endpoint, config=options)


def _asked(what: str, ask: Callable[..., Any], **arguments: Any) -> tuple[bool, str]:
    ask(**arguments)
    return True, f"{what}: reached, and permitted"


def _spares(settings: Settings, database: str) -> set[str]:
    using = (one.database for one in settings.services.values() if one.database and one.database.name == database)
    return {name for policy in using for name, server in policy.servers.items() if server.spare}


def server(settings: Settings, name: str, one: str) -> tuple[bool, str]:
    """Connect to one server of a database, and see what it is."""

    def no_aws() -> Any:
        raise SettingsError("AWS is not asked here")

    with databases(settings, no_aws).databases.connect(OnServer(database=name, server=one)) as connection:
        row = connection.execute(
            "SELECT pg_is_in_recovery() AS replica, current_setting('is_superuser') AS superuser"
        ).fetchone()
    assert row is not None
    # RDS gives nobody a superuser.
    if row["superuser"] != "on" and settings.databases[name].backend != "rds":
        return False, "answers, but we are no superuser there"
    return True, "answers, a replica" if row["replica"] else "answers, takes writes"


def _get(http: httpx.Client, url: str, headers: dict[str, str] | None = None) -> tuple[bool, str]:
    answer = http.get(url, headers=headers)
    place = url.partition("?")[0]
    return answer.is_success, f"{place}: {'answers' if answer.is_success else f'HTTP {answer.status_code}'}"


def _bearer(token: SecretStr | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.get_secret_value()}"} if token is not None else {}
