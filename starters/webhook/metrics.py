"""What Prometheus scrapes of one webhook."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """In a registry of its own, so that several webhooks fit into one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.alerts = Counter(
            "runbooks_webhook_alerts", "Alerts by what became of them.", ["outcome"], registry=self.registry
        )
        self.requests = Counter(
            "runbooks_webhook_requests", "Posts by HTTP status.", ["status"], registry=self.registry
        )
        self.seconds = Histogram(
            "runbooks_webhook_seconds",
            "Time to answer a post.",
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )

    def exposition(self) -> bytes:
        """Give all of it in Prometheus' text format."""
        return generate_latest(self.registry)
