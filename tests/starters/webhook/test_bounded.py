"""However much an alert says, Temporal takes it, and the others of its post."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.client import Client

from activities.records.alerts import Alert
from starters.webhook.bounded import MOST, bounded, size
from tests.starters.support import HEADERS, PATH, RUN, alert, body, fresh, serving, settings_for
from tests.workflows.worlds.world import World

AT = datetime(2026, 2, 4, 3, tzinfo=UTC)
texts = st.dictionaries(
    st.text(min_size=1, max_size=12).map(lambda name: name * 20), st.text(max_size=40).map(lambda text: text * 100)
)


def many(count: int, text: str) -> dict[str, str]:
    return {f"l{number}-{text[:200]}": text for number in range(count)}


@given(texts, texts, st.sampled_from(["", "\U0001f525" * 4000]))
def test_an_alert_is_as_large_as_temporal_keeps_at_most(
    labels: dict[str, str], annotations: dict[str, str], url: str
) -> None:
    given = Alert(
        source="s",
        fingerprint="f",
        name="x",
        starts_at=AT,
        labels={**labels, "pod": "api-1"},
        annotations=annotations,
        generator_url=url,
        group_key=url,
    )
    kept = bounded(given, ["pod"])
    assert size(kept) <= MOST
    assert (kept.episode, kept.name, kept.labels["pod"]) == (given.episode, given.name, "api-1")
    assert (kept == given) == (size(given) <= MOST)
    Alert.model_validate(json.loads(kept.model_dump_json()))


@pytest.mark.parametrize("text", ["x" * 4096, "\U0001f525" * 4096, "\x01" * 4096, '"\\' * 2048])
def test_what_a_rule_takes_and_as_many_names_as_fit_are_kept(text: str) -> None:
    given = Alert(
        source="s",
        fingerprint="f",
        name="x",
        starts_at=AT,
        labels={**many(250, text), "target": "y" * 4000},
        annotations=many(250, text),
    )
    kept = bounded(given, ["target"])
    assert size(given) > MOST >= size(kept) > MOST // 4
    assert kept.labels["target"] == "y" * 4000


@pytest.mark.parametrize(("text", "count"), [("x" * 4096, 60), ("\U0001f525" * 4096, 18)])
async def test_a_post_of_alerts_that_say_too_much_is_taken(
    temporal_address: str, tmp_path: Path, client: Client, text: str, count: int
) -> None:
    plain, name, queue = alert(fresh()), fresh(), f"q-{uuid4()}"
    huge: list[Any] = [
        alert(f"{name}{number}", pod=f"api-{number}", **many(30, text)) | {"annotations": many(10, text)}
        for number in range(count)
    ]
    huge[0]["labels"] |= many(100, text)
    content = json.dumps(body(*huge, plain), ensure_ascii=False).encode()
    assert 8_000_000 < len(content) < 16 * 1_048_576
    async with serving(settings_for(temporal_address, queue, tmp_path, World())) as http:
        answer = await http.post(PATH, content=content, headers=HEADERS | {"Content-Type": "application/json"})
    assert answer.status_code == 202, answer.text[:500]
    outcomes = [one["outcome"] for one in answer.json()["alerts"]]
    assert sorted(outcomes) == ["joined"] * count + ["started"]
    history = await client.get_workflow_handle(RUN).fetch_history()
    signals = [
        len(event.workflow_execution_signaled_event_attributes.input.payloads[0].data)
        for event in history.events
        if event.HasField("workflow_execution_signaled_event_attributes")
    ]
    assert sum(signals) > 500_000
    assert max(signals) < 1_100_000
