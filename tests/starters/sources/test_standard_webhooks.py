"""Standard Webhooks as alerts."""

from activities.records.alerts import Alert
from starters.steering.mapping import Flaw, PayloadMapping
from tests.starters.sources.senders import BEGAN


def test_a_standard_webhook_without_a_name_of_its_own_is_named_by_its_message() -> None:
    mapping = PayloadMapping.model_validate({"name": "$.type"})
    (alert,) = mapping.alerts({"type": "x"}, "standard", "msg_1", BEGAN)
    assert isinstance(alert, Alert)
    assert (alert.fingerprint, alert.starts_at) == ("msg_1", BEGAN)
    (flaw,) = mapping.alerts({"type": "x"}, "standard", "msg_1", None)
    assert isinstance(flaw, Flaw)
    assert "starts_at" in flaw.detail
