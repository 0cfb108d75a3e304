"""CloudWatch's alarms by SNS, as alerts."""

import json

from activities.records.alerts import Alert
from starters.sources import registry
from starters.sources.port import Post
from starters.steering.mapping import Flaw, PayloadMapping
from tests.starters.sources import senders
from tests.starters.sources.reading import NOW, one, said
from tests.starters.sources.senders import BEGAN, settings_of
from workers.settings import WebhookSettings


def test_cloudwatch() -> None:
    alert = one("sns", senders.BY_NAME["sns"].fires())
    assert (alert.name, alert.labels["metric"], alert.labels["region"]) == ("API down api", "5xx", "eu-central-1")
    assert alert.labels["dimension_LoadBalancer"] == "app/api/1"
    assert alert.annotations["summary"].startswith("Threshold Crossed")
    assert alert.generator_url.startswith("https://eu-central-1.console.aws.amazon.com/cloudwatch/home?")
    composite = {key: value for key, value in senders.alarm("x", BEGAN, ended=None).items() if key != "Trigger"}
    assert one("sns", senders.sns(composite, "")).name == "API down x"
    for payload, what in (
        ("Hello", "not JSON"),
        ({"x": 1}, "AlarmName"),
        ({**composite, "StateChangeTime": 1e300}, "time"),
    ):
        (item,) = said("sns", senders.sns(payload, ""))
        assert isinstance(item, Flaw)
        assert what in item.detail


def test_a_message_of_sns_that_is_only_tried_may_have_no_time() -> None:
    """`runbooks routes test` looks at no signature, so nobody has looked at the time before."""
    settings = WebhookSettings.model_validate({"sources": settings_of("sns")})
    mapping = PayloadMapping.model_validate({"name": "$.what"})
    (source,) = registry.built(settings.sources, {"sns": mapping}, senders.AMAZON.client)
    for at, kind in (("2026-02-04T03:00:00.000Z", Alert), ("soon", Flaw), ("", Flaw)):
        content = json.dumps(senders.AMAZON.sign({**senders.notification({"what": "x"}), "Timestamp": at})).encode()
        (item,) = source.read(Post({}, content, NOW)).items
        assert isinstance(item, kind), at
