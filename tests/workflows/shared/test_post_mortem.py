"""A post-mortem's draft has what is known, each deadline with the times that it was lost again, and no claim."""

from datetime import UTC, datetime, timedelta

from activities.evidence.evidence import StoredEvidence
from workflows.platform.clocks import Clock, Lapse
from workflows.shared.post_mortem import PostMortemFacts, draft

AT = datetime(2026, 2, 4, 3, tzinfo=UTC)


def written(clocks: tuple[Clock, ...] = (), evidence: tuple[StoredEvidence, ...] = ()) -> list[str]:
    facts = PostMortemFacts(
        id="INC-1",
        title="down",
        severity="P1",
        service="api",
        commander="grace",
        opened_at=AT,
        clocks=clocks,
        timeline="- it began",
        evidence=evidence,
    )
    return draft(facts, resolution="rolled back", root_cause="a release", when=AT + timedelta(days=1)).splitlines()


def test_what_is_known_is_filled_in() -> None:
    lines = written()
    assert lines[0] == "# Post-mortem INC-1: down"
    assert "| Review | 2026-02-05 03:00 UTC |" in lines
    assert lines[lines.index("## Evidence") + 2] == "- none"


def test_evidence_is_named_with_its_sum() -> None:
    assert "- `s3://kept/logs` (SHA-256 `01`)" in written(
        evidence=(StoredEvidence(uri="s3://kept/logs", sha256="01", size=1),)
    )


def test_a_deadline_is_kept_or_missed_and_lost_ones_come_before_it() -> None:
    kept = Clock(name="Assessed", due_at=AT + timedelta(minutes=5), met_at=AT + timedelta(minutes=2))
    lapse = Lapse(met_at=AT + timedelta(minutes=3), lost_at=AT + timedelta(minutes=9), missed=False)
    missed = Clock(name="Mitigated", due_at=AT + timedelta(minutes=15), missed=True, lapses=[lapse])
    rows = [line for line in written(clocks=(kept, missed)) if line.startswith(("| Assessed", "| Mitigated"))]
    assert rows == [
        "| Assessed | 03:05:00 | 03:02:00 | kept |",
        "| Mitigated | | 03:03:00, lost at 03:09:00 | kept |",
        "| Mitigated | 03:15:00 | not reached | missed |",
    ]
