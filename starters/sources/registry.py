"""Which module a source of the settings has."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, assert_never

from libraries import httpx
from starters.sources.cloud_events import CloudEvents
from starters.sources.datadog import Datadog
from starters.sources.grafana import Grafana
from starters.sources.pagerduty import PagerDuty
from starters.sources.port import Source
from starters.sources.sentry import Sentry
from starters.sources.signing_certificates import SigningCertificates
from starters.sources.sns import Sns
from starters.sources.standard_webhooks import StandardWebhooks
from starters.steering.mapping import PayloadMapping
from workers.source_settings import (
    AlertSource,
    CloudEventsSource,
    DatadogSource,
    GrafanaSource,
    PagerDutySource,
    SentrySource,
    SnsSource,
    StandardWebhooksSource,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def built(
    settings: Mapping[str, AlertSource],
    mappings: Mapping[str, PayloadMapping],
    client: "Callable[[], httpx.AsyncClient] | None" = None,
) -> list[Source]:
    """Build all sources; `client` makes what fetches SNS's certificates.

    The mappings fit: `starters.steering.mapping.unfit` has said so when the rules were read.
    """
    certificates: SigningCertificates | None = None
    found: list[Source] = []
    for name, source in settings.items():
        mapping = mappings.get(name)
        match source:
            case GrafanaSource():
                found.append(Grafana(name, source, mapping))
            case PagerDutySource():
                found.append(PagerDuty(name, source))
            case SnsSource():
                certificates = certificates or SigningCertificates((client or httpx.AsyncClient)())
                found.append(Sns(name, source, mapping, certificates))
            case DatadogSource():
                found.append(Datadog(name, source, mapping))
            case SentrySource():
                found.append(Sentry(name, source))
            case StandardWebhooksSource():
                found.append(StandardWebhooks(name, source, mappings[name]))
            case CloudEventsSource():
                found.append(CloudEvents(name, source, mappings[name]))
            case _:
                assert_never(source)
    return found
