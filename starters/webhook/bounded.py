"""What Temporal is given of an alert: no more than it keeps, so that one long text loses neither its alert nor others.

A label may have 4,096 characters, and an alert 512 of them with its annotations: that is more than Temporal takes in
one request, however often it is sent. What is long is cut first, and what a rule takes as input not at all.
"""

import json
from collections.abc import Collection, Iterator

from activities.common.text import fitted
from activities.records.alerts import Alert

MOST = 65_536
"""Bytes of one alert, as it is sent."""

_MOST_OF_ONE, _AROUND = 6, 1024
"""Bytes of a character, as `\\u001f`, and of the names of its fields, their quotes and its times."""

_CUTS = (1024, 256, 64)


def size(alert: Alert) -> int:
    """Count the bytes of an alert as it is sent."""
    return len(alert.model_dump_json().encode())


def _surely_small(alert: Alert) -> bool:
    """Tell without writing it: JSON has six bytes at most for a character of ours."""
    texts = (alert.source, alert.fingerprint, alert.name, alert.generator_url, alert.group_key, alert.key)
    characters = sum(map(len, texts))
    for named in (alert.labels, alert.annotations):
        characters += sum(map(len, named)) + sum(map(len, named.values())) + len(named)
    return characters * _MOST_OF_ONE <= MOST - _AROUND


def bounded(alert: Alert, keep: Collection[str] = ()) -> Alert:
    """Give the alert with its longest texts cut, where it is too large; labels named in `keep` stay as they are."""
    if _surely_small(alert) or size(alert) <= MOST:
        return alert
    for most in _CUTS:
        alert = alert.model_copy(
            update={
                "annotations": {name: fitted(value, most, lines=True) for name, value in alert.annotations.items()},
                "labels": {
                    name: value if name in keep else fitted(value, most, lines=True)
                    for name, value in alert.labels.items()
                },
            }
        )
        if size(alert) <= MOST:
            return alert
    # Their names alone are too much.
    left = MOST - size(alert.model_copy(update={"labels": {}, "annotations": {}}))
    labels = dict(_first(alert.labels, left, keep))
    return alert.model_copy(update={"labels": labels, "annotations": {}})


def _first(texts: dict[str, str], left: int, keep: Collection[str]) -> Iterator[tuple[str, str]]:
    """Give as many as there is room for, those to keep before all others."""
    for name in sorted(texts, key=lambda name: name not in keep):
        left -= len(json.dumps([name, texts[name]], ensure_ascii=False).encode())
        if left < 0:
            return
        yield name, texts[name]
