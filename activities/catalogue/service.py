"""The service catalogue: what a run may touch, resolved once and pinned in the run's history.

A request names a service (`tensafe-server`); everything addressable about it comes from settings. A run can
touch only what is configured, and a change of settings does not move a run that has begun.
"""

from datetime import time, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from activities.catalogue.base import ServicePolicy, Weekday
from activities.catalogue.certificates import CertificatePolicy
from activities.catalogue.compliance import CompliancePolicy
from activities.catalogue.daily import DailyPolicy
from activities.catalogue.database import DatabasePolicy
from activities.catalogue.degradation import DegradationPolicy
from activities.catalogue.recovery import RecoveryPolicy
from activities.catalogue.security import SecurityPolicy
from activities.catalogue.smoke import SmokeCheck, SmokeJob
from activities.catalogue.windows import WindowPolicy
from activities.catalogue.workloads import WorkloadPolicy
from activities.common.text import Key, Link, Name, Words


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is not an IANA time zone") from None
    return name


TimeZone = Annotated[Name, AfterValidator(_known_zone)]
Mitigation = Literal["rollback", "restart", "scale"]
Grouping = Literal["service", "group", "alert"]


class ServiceMetrics(ServicePolicy):
    """PromQL of the figures a run reads; each must give one scalar or a one-element vector."""

    error_rate: Words | None = Field(default=None, description="Share of failed requests, 0 to 1.")
    p95_latency: Words | None = Field(default=None, description="Seconds.")
    saturation: Words | None = Field(default=None, description="Use of the busiest resource, 0 to 1.")
    request_rate: Words | None = Field(default=None, description="Requests per second.")


class IncidentPolicy(ServicePolicy):
    """How far a run goes by itself in an incident, and its clocks (runbook 2.1, 2.2)."""

    mitigation: Literal["auto", "approve"] = Field(
        default="auto",
        description="auto: do what the facts clearly ask for. approve: always ask the commander first.",
    )
    safe_default: Mitigation | Literal["none"] = Field(
        default="none",
        description="What is done when nobody answers, even after escalation.",
    )
    decision_timeout: timedelta = Field(
        default=timedelta(minutes=5),
        gt=timedelta(0),
        description="Until a question escalates, and then again until the default; shorter than 2.1's 15 "
        "minutes of a P1.",
    )
    recent_rollout: timedelta = Field(
        default=timedelta(hours=1), description="A rollout younger than this is suspected first."
    )
    proven_after: timedelta = Field(
        default=timedelta(minutes=30),
        ge=timedelta(0),
        description="A release that was in force for less, and that no run has seen complete, is gone back to only "
        "where a person says so; an older one that was proven is proposed instead.",
    )
    max_mitigations: int = Field(default=3, ge=1, le=10, description="Attempts by itself; then people are asked.")
    scale_to: int = Field(default=10, ge=1, description="Replicas of mitigation C.")
    saturated_above: float = Field(
        default=0.85,
        gt=0,
        le=1,
        description="Of metrics.saturation; from here more pods are suspected to help. A judgement: above it "
        "queues grow fast.",
    )
    steady_for: timedelta = Field(
        default=timedelta(minutes=1), description="Health must hold this long to count as restored."
    )
    verify_timeout: timedelta = Field(
        default=timedelta(minutes=5), gt=timedelta(0), description="What a mitigation has to show that it helped."
    )
    assess_within: timedelta = Field(default=timedelta(minutes=5), description="2.2's minutes 0 to 5.")
    acknowledge_within: timedelta = Field(default=timedelta(minutes=15), description="2.1's response time of a P1.")
    mitigate_within: timedelta = Field(default=timedelta(minutes=15), description="2.2's minutes 5 to 15.")
    stabilise_within: timedelta = Field(default=timedelta(minutes=30), description="2.2's minutes 15 to 30.")
    logs_since: timedelta = Field(default=timedelta(hours=1), description="How far back logs are kept (2.2 step 10).")
    metrics_since: timedelta = Field(
        default=timedelta(hours=2), description="How far back metrics are kept (2.2 step 10)."
    )
    close_reminder: timedelta = Field(
        default=timedelta(hours=4),
        gt=timedelta(0),
        description="How often the commander is reminded of an incident that is over and still open.",
    )
    watch_every: timedelta = Field(
        default=timedelta(minutes=1),
        gt=timedelta(0),
        description="How often health is looked at while people are awaited; the longer, the less often.",
    )
    reminder: timedelta = Field(
        default=timedelta(minutes=30), gt=timedelta(0), description="To whoever has taken an unhealthy service over."
    )
    highest_page: int = Field(default=3, ge=1, le=20, description="The level above which no escalation pages.")
    post_mortem_at: time = Field(default=time(10, 0), description="Tomorrow, in the service's time zone.")


class ScalingPolicy(ServicePolicy):
    """Bounds and times of scaling (runbook 3.1, 3.2)."""

    max_replicas: int = Field(default=20, ge=1, le=1000, description="No run asks for more.")
    ready_within: timedelta = Field(
        default=timedelta(seconds=300), gt=timedelta(0), description="For new pods to be ready (3.1: --timeout=300s)."
    )
    lease: timedelta = Field(
        default=timedelta(minutes=30), gt=timedelta(0), description="How long the autoscaler stays paused."
    )
    longest_lease: timedelta = Field(
        default=timedelta(hours=4), gt=timedelta(0), description="However often it is extended."
    )


class GpuPolicy(ServicePolicy):
    """The GPU nodes that a service computes on: an EKS managed node group (runbook 3.3)."""

    cluster: Key = Field(description="Its name at EKS.")
    nodegroup: Key = Field(default="gpu-workers", description="Its name at EKS.")
    min_nodes: int = Field(default=2, ge=0, description="The group never gets fewer (3.3).")
    max_nodes: int = Field(default=10, ge=1, description="The group never gets more (3.3).")
    selector: Key = Field(default="nvidia.com/gpu.present=true", description="Label selector of its nodes.")
    resource: Key = Field(default="nvidia.com/gpu", description="What a node must offer once it has joined.")
    tolerates: tuple[Key, ...] = Field(
        default=(),
        description="Keys of taints that its pods tolerate, beside the resource's name and what its older nodes have.",
    )
    utilisation: Words | None = Field(default=None, description="PromQL of the GPUs' use, 0 to 1; one number.")
    above: float = Field(
        default=0.85,
        gt=0,
        le=1,
        description="Use of the GPUs, 0 to 1: an alert adds a node where it stays above (3.3).",
    )
    sustained: timedelta = Field(
        default=timedelta(minutes=10), gt=timedelta(0), description="How long it must stay above."
    )
    join_within: timedelta = Field(
        default=timedelta(minutes=15),
        gt=timedelta(0),
        description="For the node to be ready with its GPUs. A judgement: EKS takes 3 to 10 minutes.",
    )
    decision_timeout: timedelta = Field(
        default=timedelta(minutes=15),
        gt=timedelta(0),
        description="Until a question escalates, and then again until the default.",
    )


class OffPeak(ServicePolicy):
    """Hours at which a release may go out, in the service's time zone; past midnight where `end` is not after `start`.

    Such a window belongs to the day on which it starts.
    """

    days: tuple[Weekday, ...] = Field(
        default=("mon", "tue", "wed", "thu", "fri", "sat", "sun"), description="On which it starts."
    )
    start: time = Field(description="In the service's time zone.")
    end: time = Field(description="In the service's time zone.")


class ReleasePolicy(ServicePolicy):
    """How releases of a service go out (runbook 4.1, 4.2)."""

    chart: Link = Field(description="A path (relative to the settings file), repo/name, or oci://…")
    release: Key = Field(description="Helm's name of it.")
    tag_value: Key = Field(default="image.tag", description="The chart's value that takes the version.")
    values: dict[Key, Words] = Field(default_factory=dict, description="Further values; no secrets.")
    timeout: timedelta = Field(
        default=timedelta(minutes=10),
        gt=timedelta(0),
        description="For Helm to see everything ready (4.1: --timeout 10m).",
    )
    repository: Key | None = Field(default=None, description="owner/name at the CI service; for its backends.")
    off_peak: tuple[OffPeak, ...] = Field(default=(), description="At any time where there is none.")
    smoke: tuple[SmokeCheck, ...] = ()
    smoke_job: SmokeJob | None = None
    watch_for: timedelta = Field(
        default=timedelta(minutes=15), ge=timedelta(0), description="How long a new release is watched (4.1 step 6)."
    )
    watch_every: timedelta = Field(
        default=timedelta(seconds=10), gt=timedelta(0), description="How often the figures are read then."
    )
    baseline_over: timedelta = Field(
        default=timedelta(minutes=15), gt=timedelta(0), description="What is averaged before, to compare with."
    )
    error_rate_rise: float = Field(default=0.02, gt=0, le=1, description="Over the baseline, as a share of requests.")
    latency_factor: float = Field(default=1.5, gt=1, description="Times the baseline.")
    breach_for: timedelta = Field(default=timedelta(minutes=1), description="Until a breach rolls back.")
    decision_timeout: timedelta = Field(
        default=timedelta(minutes=15),
        gt=timedelta(0),
        description="Until a question escalates, and then again until the default.",
    )


class ChurnWeights(ServicePolicy):
    """How many of the score's 100 points each sign can give; they are shared out in these proportions (5.3 step 2)."""

    usage: float = Field(default=50, ge=0, description="Usage against the tenant's own trend.")
    errors: float = Field(default=20, ge=0, description="Failed calls of the last 30 days.")
    tickets: float = Field(default=15, ge=0, description="Open tickets.")
    renewal: float = Field(default=15, ge=0, description="The contract ends soon.")

    @model_validator(mode="after")
    def _some_count(self) -> "ChurnWeights":
        if not (self.usage or self.errors or self.tickets or self.renewal):
            raise ValueError("at least one weight must be above 0")
        return self


class ChurnPolicy(ServicePolicy):
    """When a tenant is at risk, and how its customer success manager is asked to act (runbook 5.3)."""

    weights: ChurnWeights = ChurnWeights()
    at_risk_above: int = Field(default=40, ge=0, le=100, description="Score from which a tenant is at risk.")
    full_error_rate: float = Field(default=0.1, gt=0, le=1, description="From here errors give all their points.")
    full_tickets: int = Field(default=5, ge=1, description="Open tickets that give all their points.")
    renewal_within: timedelta = Field(
        default=timedelta(days=90), gt=timedelta(0), description="A contract that ends sooner gives its points (5.3)."
    )
    grace_after_creation: timedelta = Field(
        default=timedelta(days=60), ge=timedelta(0), description="A younger tenant has no trend: it is being onboarded."
    )
    remind_after: timedelta = Field(default=timedelta(days=2), gt=timedelta(0), description="CSM without an outcome.")
    escalate_after: timedelta = Field(
        default=timedelta(days=5), gt=timedelta(0), description="CSM without an outcome: their lead is asked."
    )
    give_up_after: timedelta = Field(default=timedelta(days=30), gt=timedelta(0), description="Then: no outcome.")
    most_at_once: int = Field(default=50, ge=1, le=500, description="Interventions that one scan starts.")
    scan_on: Weekday | None = Field(default="mon", description="When all tenants are looked at; None: by hand alone.")
    scan_at: time = Field(default=time(8, 0), description="In the service's time zone.")


class OnboardingPolicy(ServicePolicy):
    """Clocks of an onboarding (runbook 5.1)."""

    look_every: timedelta = Field(
        default=timedelta(hours=1),
        gt=timedelta(0),
        description="How often the data is asked what the customer has done.",
    )
    remind_before: timedelta = Field(default=timedelta(days=1), gt=timedelta(0), description="A phase's due date.")
    escalate_after: timedelta = Field(default=timedelta(days=1), gt=timedelta(0), description="A phase's due date.")
    meeting_at: time = Field(default=time(10, 0), description="In the service's time zone.")
    kickoff_after: timedelta = Field(
        default=timedelta(days=2),
        gt=timedelta(0),
        description="The first call, from the beginning of an onboarding (5.1).",
    )
    review_after: timedelta = Field(default=timedelta(days=90), gt=timedelta(0), description="The first QBR.")


class CustomerPolicy(ServicePolicy):
    """What customers are promised, and what is done about them (runbook 5, 8.2)."""

    product: Key | None = Field(
        default=None, description="As mails and the status page name it; the service's own name otherwise."
    )
    update_within: timedelta = Field(default=timedelta(hours=1), gt=timedelta(0), description="5.2's ETA.")
    lead_after: timedelta = Field(
        default=timedelta(minutes=15), gt=timedelta(0), description="From the engineer's page to the lead's."
    )
    key_grace: timedelta = Field(
        default=timedelta(hours=24),
        gt=timedelta(0),
        description="How long an old key is good beside the new one (8.2).",
    )
    longest_key_grace: timedelta = Field(
        default=timedelta(days=14), gt=timedelta(0), description="However often it is extended."
    )
    key_reminder: timedelta = Field(
        default=timedelta(hours=4), gt=timedelta(0), description="Before the end, where the old key is still used."
    )
    decision_timeout: timedelta = Field(
        default=timedelta(hours=1),
        gt=timedelta(0),
        description="Until a question escalates, and then again until the default.",
    )
    onboarding: OnboardingPolicy = OnboardingPolicy()
    churn: ChurnPolicy = ChurnPolicy()


class Service(ServicePolicy):
    """One service of the catalogue."""

    name: Name = Field(default="", description="The table's own.")
    namespace: Key = Field(description="Kubernetes' namespace of all its workloads.")
    deployment: Key = Field(description="The primary workload; all there is where `workloads` names no others.")
    workloads: tuple[WorkloadPolicy, ...] = Field(
        default=(), description="All that the service consists of, where that is more than one Deployment."
    )
    container: Key | None = Field(default=None, description="Where the image is; the only container otherwise.")
    selector: Key = Field(description="Label selector of its pods, for example `app=tensafe`.")
    health_url: Link = Field(description="Asked by GET: 2xx is healthy, unless a JSON body's `status` says otherwise.")
    hpa: Key | None = Field(default=None, description="Its HorizontalPodAutoscaler; none where empty.")
    scaled_object: Key | None = Field(
        default=None, description="KEDA's ScaledObject. Without one emergency-scale-up holds the HPA's minimum."
    )
    time_zone: TimeZone = Field(
        default="UTC", description="IANA's name, e.g. Europe/Berlin; its days and windows go by it."
    )
    status_component: Key = Field(default="api", description="Component of the status page.")
    on_call: Key = Field(default="primary", description="On-call rotation that is paged.")
    channel: Key = Field(default="#incidents", description="Chat channel of its incidents.")
    stakeholders: tuple[Key, ...] = Field(default=("#stakeholders",), description="Channels told of incidents.")
    alerts_by: Grouping = Field(
        default="service",
        description="Which alerts one run of a procedure takes: all of the service, of Alertmanager's group, or one.",
    )
    metrics: ServiceMetrics = ServiceMetrics()
    incident: IncidentPolicy = IncidentPolicy()
    degradation: DegradationPolicy = DegradationPolicy()
    scaling: ScalingPolicy = ScalingPolicy()
    gpu: GpuPolicy | None = None
    release: ReleasePolicy | None = None
    customers: CustomerPolicy = CustomerPolicy()
    database: DatabasePolicy | None = None
    recovery: RecoveryPolicy = RecoveryPolicy()
    certificates: CertificatePolicy | None = None
    window: WindowPolicy = WindowPolicy()
    security: SecurityPolicy = SecurityPolicy()
    drill: bool = Field(
        default=False,
        description="A stand-in to practise on: its runs are drills. The Runbook page shows them beside procedures, "
        "and the month's report counts them apart.",
    )
    daily: DailyPolicy | None = Field(default=None, description="Its days (runbook 1); not scheduled without.")
    compliance: CompliancePolicy | None = Field(
        default=None, description="Audits that a schedule prepares (runbook 8.3); none without."
    )

    @model_validator(mode="before")
    @classmethod
    def _deployment_of_the_primary(cls, data: Any) -> Any:
        """Take the primary workload's name for `deployment`, where that isn't given."""
        if isinstance(data, dict) and "deployment" not in data and isinstance(data.get("workloads"), list | tuple):
            named = [one.get("name") for one in data["workloads"] if isinstance(one, dict) and one.get("primary")]
            return {**data, "deployment": named[0]} if len(named) == 1 else data
        return data

    @model_validator(mode="after")
    def _one_is_primary(self) -> "Service":
        primary = [one for one in self.workloads if one.primary]
        if len(primary) > 1 or any(one.kind != "Deployment" or one.name != self.deployment for one in primary):
            raise ValueError(
                f"workloads: one is primary, a Deployment, and it is {self.deployment!r} that `deployment` names"
            )
        if len({(one.kind, one.name) for one in self.workloads}) < len(self.workloads):
            raise ValueError("workloads: one of them is named twice")
        return self

    @property
    def product(self) -> str:
        """What customers know it as."""
        return self.customers.product or self.name

    @property
    def all_workloads(self) -> tuple[WorkloadPolicy, ...]:
        """All of them, the primary one first."""
        return (WorkloadPolicy(name=self.deployment, primary=True), *self.other_workloads)

    @property
    def other_workloads(self) -> tuple[WorkloadPolicy, ...]:
        """Those beside the primary one."""
        return tuple(one for one in self.workloads if (one.kind, one.name) != ("Deployment", self.deployment))


class ApprovalPolicy(ServicePolicy):
    """Whose word counts: public keys of the gateways that authenticate people (ARCHITECTURE, rule 6)."""

    public_keys: tuple[Key, ...] = Field(default=(), description="Ed25519 public keys, base64, any may sign.")
    allow_unsigned: bool = Field(default=False, description="Sandbox only: accept what no gateway signed.")
    roles: dict[Key, tuple[Key, ...]] = Field(
        default={
            "mitigate": ("commander", "on-call", "engineering-lead"),
            "close": ("commander", "on-call", "engineering-lead"),
            "scale": ("commander", "on-call", "engineering-lead"),
            "deploy": ("commander", "engineering-lead"),
            "revoke": ("security", "commander", "engineering-lead"),
            "database": ("dba", "on-call", "commander", "engineering-lead"),
            "failover": ("dba", "commander", "engineering-lead"),
            "restore": ("dba", "commander", "engineering-lead"),
            "certificate": ("on-call", "security", "commander", "engineering-lead"),
            "maintain": ("dba", "on-call", "commander", "engineering-lead"),
            "contain": ("security", "commander", "engineering-lead"),
            "legal": ("legal", "compliance", "security", "engineering-lead"),
            "drain": ("security", "commander", "engineering-lead"),
            "compliance": ("security", "compliance", "commander", "engineering-lead"),
            "customer": ("csm", "se", "support", "on-call", "security", "commander", "engineering-lead"),
        },
        description="Which roles may decide what.",
    )
    second_person: tuple[Key, ...] = Field(
        default=(),
        description="What a second person must say as well, by the same names, e.g. restore; not doing it takes one. "
        "A drain takes two whatever stands here.",
    )
    starter_counts: bool = Field(default=False, description="Whoever started a run may be one of two people.")
    signature_valid_for: timedelta = Field(
        default=timedelta(minutes=15), description="From signing a word to its arrival; one that is older is refused."
    )
