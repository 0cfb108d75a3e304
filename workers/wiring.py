"""From settings to activities: builds the clients, picks the backends, injects them.

A cluster, a database or a Prometheus that doesn't answer is no reason not to start: its steps fail and are retried.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import boto3
import httpx
from botocore.config import Config
from kubernetes import client
from psycopg_pool import ConnectionPool

from activities.api_keys import ApiKeys
from activities.archive import Archive
from activities.autoscalers import Autoscalers
from activities.backends.atlassian_statuspage import AtlassianStatusPage
from activities.backends.evidence_files import FileStore
from activities.backends.evidence_s3 import S3Store
from activities.backends.github_ci import GitHubCi
from activities.backends.handover_links import HandoverLinks
from activities.backends.handover_secrets_manager import HandoverSecretsManager
from activities.backends.pagerduty import PagerDutyPager
from activities.backends.records_chat import RecordsChat
from activities.backends.records_ci import RecordsCi
from activities.backends.records_mail import RecordsMail
from activities.backends.records_pager import RecordsPager
from activities.backends.records_status_page import RecordsStatusPage
from activities.backends.slack_web import SlackChat
from activities.backends.smtp import SmtpServer
from activities.backup import Backups
from activities.ci import Ci, CiService
from activities.customer_health import CustomerHealth
from activities.database_hosts import DatabaseHosts
from activities.database_secrets import DatabaseSecrets
from activities.errors import Misconfigured
from activities.evidence import Evidence, EvidenceStore
from activities.handovers import Handovers
from activities.health import HealthChecks
from activities.helm import Helm
from activities.integrity import Integrity
from activities.kubernetes import Kubernetes
from activities.kubernetes_api import connect as connect_kubernetes
from activities.mail import Mail, MailServer
from activities.metrics import PrometheusMetrics
from activities.node_groups import NodeGroups
from activities.nodes import ClusterNodes
from activities.paging import Pager, Paging
from activities.postgres import Postgres
from activities.records import Records
from activities.release_watch import ReleaseWatch
from activities.replication import Replication
from activities.service_lookup import Catalogue
from activities.sessions import Sessions
from activities.slack import Chat, Slack
from activities.smoke import Smoke
from activities.statuspage import StatusPage, StatusPages
from activities.support import Support
from activities.tenants import Tenants
from activities.traffic import Traffic
from activities.workloads import Workloads
from database.pool import BoundedConnection, connect_pool
from database.server import DatabaseError
from workers.archive import archiver, patient_pool
from workers.codec import decrypting
from workers.databases import databases
from workers.settings import Mail as MailSettings
from workers.settings import Settings, SettingsError

Activity = Callable[..., Any]
_Pool = ConnectionPool[BoundedConnection]


@contextmanager
def wire(settings: Settings) -> Iterator[list[Activity]]:
    """Give every activity, on the settings' backends, until the context ends.

    Raises:
        SettingsError: settings name what can't be used (a kubeconfig that isn't there, a URL that isn't one).

    """
    with ExitStack() as stack:
        http = stack.enter_context(httpx.Client())
        try:
            pool = stack.enter_context(connect_pool(settings.records.url, max_size=settings.records.pool_size))
            patient = stack.enter_context(patient_pool(settings.records.url))
            cluster = connect_kubernetes(
                settings.kubernetes.kubeconfig and settings.path(settings.kubernetes.kubeconfig),
                settings.kubernetes.context,
                connections=settings.temporal.max_concurrent_activities,
            )
        except (DatabaseError, Misconfigured) as error:
            raise SettingsError(str(error)) from None
        stack.callback(cluster.close)
        evidence = _evidence_store(settings)
        handovers = _handovers(settings)
        servers = databases(settings, lambda: _aws(settings, "rds"))
        systems = [
            Catalogue(settings.services, settings.approvals),
            Kubernetes(cluster),
            Autoscalers(cluster),
            Workloads(cluster),
            Traffic(cluster),
            ClusterNodes(cluster),
            NodeGroups(_aws(settings, "eks")),
            _helm(settings, cluster),
            Ci(_ci(settings, pool, http)),
            Smoke(http, cluster),
            ReleaseWatch(http, settings.prometheus.url),
            HealthChecks(http),
            PrometheusMetrics(http, settings.prometheus.url),
            Records(pool),
            Tenants(pool, handovers),
            ApiKeys(pool, handovers),
            Support(pool),
            CustomerHealth(pool),
            Mail(pool, _mail_server(settings.mail), handovers, settings.mail.sender),
            Slack(_chat(settings, pool)),
            Paging(_pager(settings, pool, http)),
            StatusPages(_status_page(settings, pool, http)),
            DatabaseHosts(servers),
            Postgres(servers),
            Replication(servers),
            DatabaseSecrets(cluster),
            Backups(servers, pool),
            Integrity(servers),
            Sessions(servers),
            Evidence(evidence, cluster, http, settings.prometheus.url),
            Archive(archiver(settings.audit, patient, evidence, decrypting(settings.temporal.payload_keys))),
        ]
        yield [activity for system in systems for activity in activities_of(system)]


def activities_of(system: object) -> list[Activity]:
    """Find the activity methods of a system."""
    methods = (method for _, method in inspect.getmembers(system, inspect.ismethod))
    return [method for method in methods if hasattr(method, "__temporal_activity_definition")]


def _aws(settings: Settings, service: Literal["eks", "rds", "secretsmanager"]) -> Any:
    # The SDK's own retries are off: Temporal retries, visibly.
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10)
    # Without a region it can't be made; a service without GPUs needs none.
    region = settings.aws.region or boto3.session.Session().region_name or "us-east-1"
    return boto3.client(service, region_name=region, endpoint_url=settings.aws.endpoint_url, config=config)


def _helm(settings: Settings, cluster: client.ApiClient) -> Helm:
    kubeconfig = settings.kubernetes.kubeconfig
    return Helm(
        settings.helm.program,
        cluster,
        kubeconfig=kubeconfig and settings.path(kubeconfig),
        context=settings.kubernetes.context,
        directory=settings.directory,
    )


def _ci(settings: Settings, pool: _Pool, http: httpx.Client) -> CiService:
    ci = settings.ci
    return GitHubCi(http, ci.token, ci.base_url) if ci.token and ci.backend == "github" else RecordsCi(pool)


def _handovers(settings: Settings) -> Handovers:
    handover = settings.handover
    if handover.backend == "secrets-manager":
        return HandoverSecretsManager(_aws(settings, "secretsmanager"), handover.prefix)
    return HandoverLinks(handover.secret, handover.base_url, handover.valid_for)


def _mail_server(mail: MailSettings) -> MailServer:
    if mail.backend == "records":
        return RecordsMail()
    login = (mail.user, mail.password) if mail.user and mail.password else None
    return SmtpServer(mail.host, mail.port, mail.security, login)


def _chat(settings: Settings, pool: _Pool) -> Chat:
    slack = settings.slack
    return SlackChat(slack.token, slack.base_url) if slack.token and slack.backend == "slack" else RecordsChat(pool)


def _pager(settings: Settings, pool: _Pool, http: httpx.Client) -> Pager:
    paging = settings.paging
    if paging.backend == "pagerduty" and paging.routing_key:
        return PagerDutyPager(http, paging.routing_key, paging.base_url)
    return RecordsPager(pool)


def _status_page(settings: Settings, pool: _Pool, http: httpx.Client) -> StatusPage:
    page = settings.statuspage
    if page.backend == "statuspage" and page.api_key and page.page_id:
        return AtlassianStatusPage(http, page.api_key, page.page_id, page.components, page.base_url)
    return RecordsStatusPage(pool)


def _evidence_store(settings: Settings) -> EvidenceStore:
    evidence = settings.evidence
    if evidence.backend == "s3" and evidence.bucket:
        return S3Store(evidence.bucket, evidence.prefix, endpoint_url=evidence.endpoint_url, region=evidence.region)
    return FileStore(settings.path(evidence.directory))
