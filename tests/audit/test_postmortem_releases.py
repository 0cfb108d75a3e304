"""The releases that the run looked at are read from its history."""

from audit.payloads import Decoder
from audit.postmortem_releases import releases
from tests.audit.postmortems import decoded, history


def test_the_releases_that_the_run_looked_at_are_read_from_its_history() -> None:
    events = history("p1_incident-rolled-back")
    found = releases(events, Decoder())
    started = {
        event["eventId"]
        for event in events["events"]
        if event.get("activityTaskScheduledEventAttributes", {}).get("activityType", {}).get("name")
        == "kubernetes.deployment"
    }
    images = {
        image
        for event in events["events"]
        if (done := event.get("activityTaskCompletedEventAttributes")) and done["scheduledEventId"] in started
        for revision in decoded(done["result"]["payloads"][0])["revisions"]
        for image in revision["images"]
    }
    assert images
    assert all(any(image in release.what for release in found) for image in images)
    assert [release.at for release in found] == sorted(release.at for release in found)
    assert releases({"events": [{"eventType": 3}, None]}, Decoder()) == []
