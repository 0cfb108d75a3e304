"""A report as headings and tables, which every format shows in its own way."""

from dataclasses import dataclass

from audit.report import Report, Spread
from audit.text import counted, lasted, moment, noun


@dataclass(frozen=True)
class Block:
    """A heading with what is below it; cells are plain text, the first column names the row."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    empty: str
    note: str = ""
    chart: str = ""
    """Name of the chart that says the same."""


def heading(report: Report) -> str:
    """Give the title."""
    return f"Runbooks in {report.month.name}"


def preface(report: Report) -> list[str]:
    """Say in sentences what the month was like, and what the numbers cover."""
    planned = sum(row.runs for row in report.planned)
    drilled = sum(row.runs for row in report.drilled)
    incidents = sum(row.incidents for row in report.severities)
    missed = sum(row.missed for row in report.deadlines)
    automation = report.automation
    between = f"{moment(report.month.since)} and {moment(report.month.until)} ({report.month.zone})"
    began = f"{counted(report.runs, 'run')} and {counted(incidents, 'incident')}"
    told = [
        f"{began} began between {between}; counted at {moment(report.as_of)}.",
        f"{automation:.0%} of the mitigated incidents were mitigated without a human."
        if automation is not None
        else "No incident was mitigated, so there is no automation rate.",
        f"{counted(missed, 'deadline')} missed.",
    ]
    if planned:
        whose = noun(planned, "its", "their")
        told.append(f"{counted(planned, 'run')} in plan mode: in a table of {whose} own, and in no other number.")
    if drilled:
        told.append(f"{counted(drilled, 'drill')}: in the last table, and in no other number.")
    if report.unreadable:
        told.append(
            f"{counted(report.unreadable, 'run')} could not be read completely (encrypted or redacted): "
            f"what {noun(report.unreadable, 'it hides', 'they hide')} is missing from the numbers."
        )
    return told


def blocks(report: Report) -> list[Block]:
    """Give every table, in the order of what matters."""
    return [
        _responses(report),
        _times(report),
        _deadlines(report),
        _approvals(report),
        _roles(report),
        _retries(report),
        _leases(report),
        _outcomes(report),
        _planned(report),
        _drilled(report),
    ]


def _responses(report: Report) -> Block:
    rows = tuple(
        (
            row.severity,
            str(row.incidents),
            str(row.running),
            lasted(row.target) if row.target else "—",
            str(row.kept),
            str(row.missed),
            str(row.open),
            f"{row.automatic} of {row.mitigated}",
        )
        for row in report.severities
    )
    return Block(
        "Incidents against the response times of 2.1",
        ("Severity", "Incidents", "Running", "Respond within", "Kept", "Missed", "Open", "Mitigated without a human"),
        rows,
        "No incident.",
        note="Responded is acknowledged. P4 is due by the close of the next business day.",
        chart="incidents",
    )


def _times(report: Report) -> Block:
    rows = tuple(
        (row.severity, what, *_spread(spread))
        for row in report.severities
        for what, spread in (("acknowledge", row.acknowledge), ("mitigate", row.mitigate), ("resolve", row.resolve))
    )
    return Block(
        "Time to acknowledge, mitigate and resolve",
        ("Severity", "Time to", "Incidents", "Median", "90 %", "Longest"),
        rows,
        "No incident.",
    )


def _deadlines(report: Report) -> Block:
    rows = tuple((row.name, row.procedure, str(row.missed), str(row.kept), str(row.open)) for row in report.deadlines)
    return Block("Deadlines", ("Deadline", "Procedure", "Missed", "Kept", "Open"), rows, "No run had a deadline.")


def _approvals(report: Report) -> Block:
    asked = report.approvals
    row = (
        str(asked.asked),
        str(asked.answered),
        str(asked.by_events),
        str(asked.unanswered),
        str(asked.open),
        str(asked.escalated),
        *_spread(asked.delay)[1:],
    )
    return Block(
        "Approvals",
        ("Asked", "Answered", "By events", "Nobody answered", "Open", "Escalated", "Median", "90 %", "Longest"),
        (row,) if asked.asked else (),
        "No run asked anybody.",
    )


def _roles(report: Report) -> Block:
    rows = tuple((row.role, *_spread(row.delay)) for row in report.approvals.roles)
    return Block(
        "Time to answer, by role", ("Role", "Answers", "Median", "90 %", "Longest"), rows, "Nobody had to answer."
    )


def _retries(report: Report) -> Block:
    rows = tuple((row.system, str(row.steps), str(row.retries), str(row.failed)) for row in report.systems)
    return Block(
        "Retries by system", ("System", "Steps", "Retries", "Failed for good"), rows, "No step ran.", chart="retries"
    )


def _leases(report: Report) -> Block:
    rows = tuple(
        (
            row.name,
            str(row.held),
            *_spread(row.lasted)[1:],
            str(row.extended),
            str(row.expired),
            str(row.by_person),
            str(row.by_failure),
            str(row.open),
        )
        for row in report.leases
    )
    return Block(
        "Leases",
        (
            "Lease",
            "Held",
            "Median",
            "90 %",
            "Longest",
            "Extended",
            "Expired",
            "Ended by a person",
            "Ended with the run",
            "Open",
        ),
        rows,
        "Nothing was held.",
    )


def _outcomes(report: Report) -> Block:
    rows = tuple((row.procedure, row.outcome, str(row.runs)) for row in report.outcomes)
    return Block("Outcomes", ("Procedure", "Outcome", "Runs"), rows, "No run.", chart="outcomes")


def _planned(report: Report) -> Block:
    rows = tuple((row.procedure, row.outcome, str(row.runs)) for row in report.planned)
    return Block("Plan mode", ("Procedure", "Outcome", "Runs"), rows, "No run in plan mode.")


def _drilled(report: Report) -> Block:
    rows = tuple((row.procedure, row.outcome, str(row.runs)) for row in report.drilled)
    return Block("Drills", ("Procedure", "Outcome", "Runs"), rows, "No drill: nothing was practised.")


def _spread(spread: Spread | None) -> tuple[str, ...]:
    if spread is None:
        return ("0", "—", "—", "—")
    return (str(spread.count), *(lasted(took) for took in (spread.median, spread.p90, spread.longest)))
