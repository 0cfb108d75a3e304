"""From settings to activities: builds the clients, picks the backends, injects them.

A cluster, a database or a Prometheus that doesn't answer is no reason not to start: its steps fail and are retried.
"""

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from activities.accesses.accesses import Accesses
from activities.accesses.sources import AccessQuery, IngressLog
from activities.addresses.blocks import Blocks
from activities.addresses.lists import Lists
from activities.autoscaling.autoscalers import Autoscalers
from activities.autoscaling.node_groups import NodeGroups
from activities.catalogue.certificates import ServedName
from activities.catalogue.lookup import Catalogue
from activities.catalogue.procedures import Procedures
from activities.certificates.account import AcmeOptions
from activities.certificates.cert_manager import CertManager
from activities.certificates.challenges import Challenges, HttpChallenges, Route53Challenges
from activities.certificates.orders import Acme
from activities.certificates.probe import TlsProbe
from activities.certificates.secrets import TlsSecrets
from activities.common.errors import Misconfigured
from activities.common.http import trusted
from activities.compliance.access import AccessReview
from activities.compliance.encryption import EncryptionStatus
from activities.compliance.looking import Around
from activities.compliance.packages import CompliancePackages
from activities.credentials.credentials import Credentials
from activities.credentials.database_roles import DatabaseRoles
from activities.credentials.secret_values import KeptSecrets, SecretValues
from activities.credentials.secrets_manager import SecretsManager
from activities.customers.api_keys import ApiKeys
from activities.customers.churn_risk import CustomerHealth
from activities.customers.interventions import Interventions
from activities.customers.tenants import Tenants
from activities.customers.tickets import Support
from activities.database.backups.backups import Backups
from activities.database.integrity.integrity import Integrity
from activities.database.replication.replication import Replication
from activities.database.replication.slots import LogicalSlots
from activities.database.servers.hosts import DatabaseHosts
from activities.database.servers.poolers import Poolers
from activities.database.upkeep.ending import Sessions
from activities.database.upkeep.postgres import Postgres
from activities.database.upkeep.writers import Writers
from activities.evidence.archive import Archive
from activities.evidence.error_patterns import ErrorLogs
from activities.evidence.evidence import Evidence
from activities.evidence.forensics import Forensics
from activities.evidence.live_state import LiveState
from activities.handovers.handovers import Handovers
from activities.handovers.links import HandoverLinks
from activities.handovers.secrets_manager import HandoverSecretsManager
from activities.holds.holds import Holds
from activities.holds.kinds import (
    BlockedAddresses,
    HeldDatabaseSecrets,
    HeldKind,
    HeldTlsSecrets,
    OpenInterventions,
    OpenWindows,
    PausedAutoscalers,
    StoppedDeployments,
    StoppedWorkloads,
)
from activities.holds.left_incidents import IncidentsLeft
from activities.kubernetes.api import connect as connect_kubernetes
from activities.kubernetes.cluster import Kubernetes
from activities.kubernetes.database_secrets import DatabaseSecrets
from activities.kubernetes.deployments import Deployments
from activities.kubernetes.draining import Draining
from activities.kubernetes.isolation import Isolation
from activities.kubernetes.kubeconfig import check as check_kubeconfig
from activities.kubernetes.nodes import ClusterNodes
from activities.kubernetes.traffic import Traffic
from activities.kubernetes.workload_holds import WorkloadHolds
from activities.kubernetes.workloads import Workloads
from activities.messages.chat.chat import Chat, Slack
from activities.messages.chat.records import RecordsChat
from activities.messages.mail.mail import Mail, MailServer
from activities.messages.mail.servers import RecordsMail, SmtpServer
from activities.messages.paging.pagerduty import PagerDutyPager
from activities.messages.paging.paging import Pager, Paging
from activities.messages.paging.records import RecordsPager
from activities.messages.status_page.atlassian import AtlassianStatusPage
from activities.messages.status_page.records import RecordsStatusPage
from activities.messages.status_page.status_page import StatusPage, StatusPages
from activities.monitoring.degradation import DegradationWatch
from activities.monitoring.health import HealthChecks
from activities.monitoring.prometheus import PrometheusMetrics
from activities.monitoring.resets import Resets
from activities.monitoring.runs import Runs
from activities.monitoring.silences import Silences
from activities.monitoring.workers import RoleQueue, Workers
from activities.records.activities import Records
from activities.records.figures import Figures
from activities.records.left_incidents import LeftInRecords
from activities.records.security import SecurityIncidents
from activities.records.windows import MaintenanceWindows
from activities.releases.ci import Ci, CiService
from activities.releases.ci_github import GitHubCi
from activities.releases.ci_records import RecordsCi
from activities.releases.helm import Helm
from activities.releases.smoke import Smoke
from activities.releases.watch import ReleaseWatch
from libraries import aws_config, boto3, httpx, kubernetes, otel
from records_schema.pool import connect_pool
from records_schema.server import DatabaseError, conninfo
from workers import tracing
from workers.archive import archiver, patient_pool
from workers.audit_keys import signer
from workers.codec import decrypting
from workers.databases import check as check_databases
from workers.databases import databases
from workers.evidence_store import evidence_store
from workers.later import Activity, Later, activities_of
from workers.procedure_inputs import build as build_request
from workers.queues import ORCHESTRATION, ROLES, Queues, Role, name_of, role_of, served
from workers.settings import MailSettings, Settings, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from psycopg_pool import ConnectionPool

    from audit.store_connection import Pool
    from records_schema.pool import BoundedConnection

    _Pool = ConnectionPool[BoundedConnection]
else:
    _Pool = Any  # for annotations alone


@dataclass(frozen=True)
class Wired:
    """All activities, and what they are made of."""

    steps: dict[Role, list[Activity]]
    systems: list[Later[Any]]
    queues: Queues

    @property
    def activities(self) -> list[Activity]:
        """Those of every role that this worker has."""
        return [activity for of_role in self.steps.values() for activity in of_role]

    def warm_up(self) -> None:
        """Make every system now, so that no step waits for it; what settings say wrong shows here at the latest.

        Raises:
            SettingsError: settings name what can't be used.

        """
        try:
            for system in self.systems:
                system()
        except (Misconfigured, ValueError) as error:
            raise SettingsError(str(error)) from None


@contextmanager
def wire(settings: Settings, tracer: "otel.Tracer | None" = None) -> Iterator[Wired]:
    """Give every activity, on the settings' backends, until the context ends.

    The systems behind them are made when they are first used, or by `Wired.warm_up`.

    Raises:
        SettingsError: settings name what can't be used (a kubeconfig that isn't there, a URL that isn't one).

    """
    of_activity: dict[str, Role] = {}
    with ExitStack() as stack:
        queues = Queues(
            base=settings.temporal.task_queue,
            roles=frozenset(settings.temporal.roles),
            watches=settings.temporal.max_concurrent_watches > 0,
            of_activity=of_activity,
        )
        has = served(settings.worker.roles, queues.roles)
        _check(settings, has)
        clients = _Clients(settings, stack, tracer)
        systems = _systems(settings, clients) | {Workers: lambda: _workers(queues, settings.worker.deployment)}
        kinds = [(kind, Later(make)) for kind, make in systems.items()]
        every = [(role_of(kind), system, activities_of(kind, system)) for kind, system in kinds]
        of_activity |= {name_of(activity): role for role, _, activities in every for activity in activities}
        ours = [one for one in every if one[0] in has]
        steps: dict[Role, list[Activity]] = {role: [] for role in ROLES if role in has}
        for role, _, activities in ours:
            steps[role].extend(activities)
        yield Wired(steps, [system for _, system, _ in ours], queues)


def _check(settings: Settings, has: AbstractSet[Role]) -> None:
    """Refuse at once what no library is needed for to see that it is wrong, of what some roles need."""
    try:
        conninfo(settings.records.url)
        if has & {"kubernetes", "compliance", "security"}:
            check_kubeconfig(_kubeconfig(settings), settings.kubernetes.context)
    except (DatabaseError, Misconfigured) as error:
        raise SettingsError(str(error)) from None
    if has & {"database", "compliance", "security"}:
        check_databases(settings)
    if has & {ORCHESTRATION, "kubernetes", "compliance"} and settings.audit.kms_key_id is None:
        signer(settings.audit)


class _Clients:
    """The connections that several systems share."""

    def __init__(self, settings: Settings, stack: ExitStack, tracer: "otel.Tracer | None") -> None:
        self.pool: Later[_Pool] = Later(
            lambda: stack.enter_context(connect_pool(settings.records.url, max_size=settings.records.pool_size))
        )
        self.patient: Later[Pool] = Later(lambda: stack.enter_context(patient_pool(settings.records.url)))
        self.http: Later[httpx.Client] = Later(
            lambda: tracing.http_client(tracer, stack.enter_context(httpx.Client(verify=trusted())))
        )
        self.cluster: Later[kubernetes.ApiClient] = Later(lambda: tracing.cluster(tracer, _cluster(settings, stack)))
        self.handovers = Later(lambda: _handovers(settings))
        self.evidence = Later(lambda: evidence_store(settings))
        self.databases = Later(lambda: databases(settings, lambda: _aws(settings, "rds")))


def _systems(settings: Settings, clients: _Clients) -> dict[type, Callable[[], Any]]:
    pool, http, cluster, servers = clients.pool, clients.http, clients.cluster, clients.databases
    handovers, prometheus = clients.handovers, settings.prometheus.url

    def health() -> HealthChecks:
        return HealthChecks(http(), settings.worker.health_timeout)

    return {
        Catalogue: lambda: Catalogue(settings.services, settings.approvals),
        Procedures: lambda: Procedures(build_request),
        Records: lambda: Records(pool()),
        MaintenanceWindows: lambda: MaintenanceWindows(pool()),
        Silences: lambda: Silences(http(), settings.alertmanager.url),
        Kubernetes: lambda: Kubernetes(cluster()),
        HealthChecks: health,
        Resets: Resets,
        Runs: Runs,
        Figures: lambda: Figures(pool(), _figures(settings)),
        PrometheusMetrics: lambda: PrometheusMetrics(http(), prometheus),
        Slack: lambda: Slack(_chat(settings, pool())),
        Paging: lambda: Paging(_pager(settings, clients)),
        StatusPages: lambda: StatusPages(_status_page(settings, clients)),
        Autoscalers: lambda: Autoscalers(cluster()),
        WorkloadHolds: lambda: WorkloadHolds(cluster()),
        Workloads: lambda: Workloads(cluster()),
        Traffic: lambda: Traffic(cluster()),
        ClusterNodes: lambda: ClusterNodes(cluster()),
        Evidence: lambda: Evidence(clients.evidence(), cluster(), http(), prometheus),
        SecurityIncidents: lambda: SecurityIncidents(pool()),
        Isolation: lambda: Isolation(cluster()),
        Draining: lambda: Draining(cluster()),
        Forensics: lambda: _forensics(settings, clients),
        LiveState: lambda: LiveState(cluster()),
        Blocks: lambda: _blocks(settings, clients),
        Credentials: lambda: _credentials(settings, clients),
        Accesses: lambda: _accesses(settings, clients),
        Helm: lambda: _helm(settings, cluster()),
        Ci: lambda: Ci(_ci(settings, clients)),
        Smoke: lambda: Smoke(http(), cluster()),
        ReleaseWatch: lambda: ReleaseWatch(http(), prometheus, health()),
        DegradationWatch: lambda: DegradationWatch(http(), prometheus, health()),
        ErrorLogs: lambda: ErrorLogs(cluster()),
        Tenants: lambda: Tenants(pool(), handovers()),
        ApiKeys: lambda: ApiKeys(pool(), handovers()),
        Support: lambda: Support(pool()),
        CustomerHealth: lambda: CustomerHealth(pool()),
        Interventions: lambda: Interventions(pool()),
        Mail: lambda: Mail(pool(), _mail_server(settings.mail), handovers(), settings.mail.sender),
        DatabaseHosts: lambda: DatabaseHosts(servers().databases, servers().hosts),
        Poolers: lambda: Poolers(servers().databases, servers().poolers),
        Postgres: lambda: Postgres(servers().databases),
        Replication: lambda: Replication(servers().databases, servers().hosts),
        DatabaseSecrets: lambda: DatabaseSecrets(cluster()),
        Backups: lambda: Backups(servers().databases, servers().hosts, servers().backups, pool()),
        Integrity: lambda: Integrity(servers().databases),
        Sessions: lambda: Sessions(servers().databases),
        Holds: lambda: Holds(lambda: _held_kinds(settings, clients)),
        IncidentsLeft: lambda: IncidentsLeft(LeftInRecords(pool()), settings.services),
        LogicalSlots: lambda: LogicalSlots(servers().databases),
        Writers: lambda: Writers(servers().databases),
        Archive: lambda: Archive(
            archiver(settings.audit, clients.patient(), clients.evidence(), decrypting(settings.temporal.payload_keys))
        ),
        AccessReview: lambda: AccessReview(
            clients.evidence(), clients.patient(), settings.approvals, _around(settings, clients)
        ),
        EncryptionStatus: lambda: EncryptionStatus(
            clients.evidence(), clients.patient(), _served(settings), _around(settings, clients)
        ),
        CompliancePackages: lambda: CompliancePackages(clients.evidence(), clients.patient(), signer(settings.audit)),
        NodeGroups: lambda: NodeGroups(_aws(settings, "eks")),
        TlsProbe: lambda: TlsProbe(settings.certificates.ca_file and settings.path(settings.certificates.ca_file)),
        TlsSecrets: lambda: TlsSecrets(cluster()),
        CertManager: lambda: CertManager(cluster()),
        Acme: lambda: _acme(settings, clients),
    }


def _workers(queues: Queues, deployment: str | None) -> Workers:
    """Know every queue of the installation, also those that this worker doesn't take."""
    names = [RoleQueue(name, role) for name, role, _ in queues.taken(ROLES)]
    return Workers(
        queues.base, names, lambda step: queues.separate(queues.of_activity.get(step, ORCHESTRATION)), deployment
    )


def _held_kinds(settings: Settings, clients: _Clients) -> list[HeldKind]:
    """Give every kind of hold there is."""
    cluster, services = clients.cluster(), settings.services
    autoscalers = Autoscalers(cluster)
    return [
        PausedAutoscalers("ScaledObject", autoscalers, services),
        PausedAutoscalers("HorizontalPodAutoscaler", autoscalers, services),
        StoppedDeployments(cluster, services),
        StoppedWorkloads(WorkloadHolds(cluster), services),
        HeldDatabaseSecrets(DatabaseSecrets(cluster), services),
        HeldTlsSecrets(TlsSecrets(cluster), services),
        OpenWindows(MaintenanceWindows(clients.pool()), services),
        BlockedAddresses(_blocks(settings, clients), services),
        OpenInterventions(Interventions(clients.pool()), services),
    ]


def _kubeconfig(settings: Settings) -> "Path | None":
    return settings.kubernetes.kubeconfig and settings.path(settings.kubernetes.kubeconfig)


def _figures(settings: Settings) -> "Path | None":
    return settings.figures.directory and settings.path(settings.figures.directory)


def _cluster(settings: Settings, stack: ExitStack) -> "kubernetes.ApiClient":
    made = connect_kubernetes(
        _kubeconfig(settings),
        settings.kubernetes.context,
        connections=settings.temporal.max_concurrent_activities + settings.temporal.max_concurrent_watches,
    )
    stack.callback(made.close)
    return made


def _around(settings: Settings, clients: _Clients) -> Around:
    servers = {name: sorted(section.servers) for name, section in sorted(settings.databases.items())}
    return Around(
        clients.cluster, lambda: clients.databases().databases, servers, lambda service: _aws(settings, service)
    )


def _served(settings: Settings) -> list[ServedName]:
    """Give the names of all services, each once."""
    certificates = [service.certificates for _, service in sorted(settings.services.items())]
    return list(dict.fromkeys(one for of in certificates if of is not None for one in of.served))


_Service = Literal["ec2", "eks", "iam", "rds", "route53", "s3", "secretsmanager", "wafv2"]


def _aws(settings: Settings, service: _Service) -> Any:
    # The SDK's own retries are off: Temporal retries, visibly.
    config = aws_config.Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10)
    # Without a region it can't be made; a service without GPUs needs none.
    region = settings.aws.region or boto3.session.Session().region_name or "us-east-1"
    return boto3.client(service, region_name=region, endpoint_url=settings.aws.endpoint_url, config=config)


def _forensics(settings: Settings, clients: _Clients) -> Forensics:
    evidence = Evidence(clients.evidence(), clients.cluster(), clients.http(), settings.prometheus.url)
    return Forensics(evidence, clients.evidence(), clients.cluster(), signer(settings.audit))


def _blocks(settings: Settings, clients: _Clients) -> Blocks:
    lists = Lists(kubernetes.NetworkingV1Api(clients.cluster()), Later(lambda: _aws(settings, "wafv2")))
    return Blocks(clients.pool(), lists)


def _credentials(settings: Settings, clients: _Clients) -> Credentials:
    kept = KeptSecrets(kubernetes.CoreV1Api(clients.cluster()))
    return Credentials(
        SecretValues(kept),
        DatabaseRoles(kept, clients.databases().databases),
        SecretsManager(Later(lambda: _aws(settings, "secretsmanager"))),
        Deployments(kubernetes.AppsV1Api(clients.cluster())),
    )


def _accesses(settings: Settings, clients: _Clients) -> Accesses:
    evidence = Evidence(clients.evidence(), clients.cluster(), clients.http(), settings.prometheus.url)
    return Accesses(
        evidence,
        clients.evidence(),
        {
            "ingress": IngressLog(kubernetes.CoreV1Api(clients.cluster())),
            "database": AccessQuery(clients.databases().databases),
        },
    )


def _helm(settings: Settings, cluster: "kubernetes.ApiClient") -> Helm:
    return Helm(
        settings.helm.program,
        cluster,
        kubeconfig=_kubeconfig(settings),
        context=settings.kubernetes.context,
        directory=settings.directory,
    )


def _ci(settings: Settings, clients: _Clients) -> CiService:
    ci = settings.ci
    if ci.token and ci.backend == "github":
        return GitHubCi(clients.http(), ci.token, ci.base_url)
    return RecordsCi(clients.pool())


def _acme(settings: Settings, clients: _Clients) -> Acme:
    acme = settings.acme
    options = None
    if acme.directory and acme.namespace:  # a directory without a namespace is refused by the settings
        options = AcmeOptions(
            directory=acme.directory,
            terms_agreed=acme.terms_agreed,
            namespace=acme.namespace,
            contact=acme.contact,
            ca_file=acme.ca_file and settings.path(acme.ca_file),
            eab_key_id=acme.eab_key_id,
            eab_key=acme.eab_key,
            secret=acme.secret,
        )
    challenges: dict[str, Callable[[], Challenges]] = {
        HttpChallenges.kind: lambda: HttpChallenges(clients.pool(), clients.http(), acme.look_at),
        Route53Challenges.kind: lambda: Route53Challenges(_aws(settings, "route53")),
    }
    return Acme(clients.cluster(), options, challenges)


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
    if slack.token and slack.backend == "slack":
        from activities.messages.chat.slack import SlackChat  # noqa: PLC0415  its library subclasses at import

        return SlackChat(slack.token, slack.base_url)
    return RecordsChat(pool)


def _pager(settings: Settings, clients: _Clients) -> Pager:
    paging = settings.paging
    if paging.routing_key and paging.backend == "pagerduty":
        return PagerDutyPager(clients.http(), paging.routing_key, paging.base_url, paging.escalation_keys)
    return RecordsPager(clients.pool())


def _status_page(settings: Settings, clients: _Clients) -> StatusPage:
    page = settings.statuspage
    if page.backend == "statuspage" and page.api_key and page.page_id:
        return AtlassianStatusPage(clients.http(), page.api_key, page.page_id, page.components, page.base_url)
    return RecordsStatusPage(clients.pool())
