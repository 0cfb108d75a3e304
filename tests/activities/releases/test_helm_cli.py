"""Helm's failures are typed by what Helm says."""

import pytest

from activities.common.errors import Conflict, Misconfigured, Refused, Unavailable
from activities.common.programs import Finished
from activities.releases import helm_cli


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress", Conflict),
        ("Error: release: already exists", Conflict),
        ('Error: secrets is forbidden: User "x" cannot list resource "secrets"', Refused),
        ("Error: UPGRADE FAILED: template: x:1:2: unexpected EOF", Refused),
        ("Error: unknown flag: --labels", Misconfigured),
        ("Error: UPGRADE FAILED: something else", Refused),
    ],
)
def test_failures_are_typed_by_what_helm_says(text: str, kind: type[Exception]):
    assert type(helm_cli.failure(Finished(1, "", text))) is kind


def test_helm_ended_by_a_signal_is_tried_again():
    assert type(helm_cli.failure(Finished(-9, "", ""))) is Unavailable
