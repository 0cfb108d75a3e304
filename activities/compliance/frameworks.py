"""What is looked at of each framework, and where this system has evidence of it (runbook 8.3).

Titles are our own words; the criteria themselves are the AICPA's (Trust Services Criteria, 2017 with 2022's points of
focus) and 45 CFR part 164, subpart C. What is missing is said per control: it is what an auditor must find elsewhere.
"""

from activities.catalogue.compliance import FrameworkName
from audit.compliance import Control, Framework

ACCESS, ENCRYPTION, LOG = "access-review.csv", "encryption-status.pdf", "audit-log.json"

_PEOPLE = "joining, moving and leaving of staff, and their agreements"
_POLICIES = "written policies, and who has approved them"

_SOC2 = Framework(
    name="soc2",
    title="SOC 2",
    scope="Trust Services Criteria CC6 (access), CC7 (operations), CC8 (changes) and A1 (availability)",
    controls=(
        Control(
            id="CC6.1",
            title="Logical access is restricted",
            exhibits=(ACCESS, ENCRYPTION),
            populations=("keys_issued",),
            missing="the service's own log-in and its settings",
        ),
        Control(
            id="CC6.2",
            title="Users are registered before they get access",
            exhibits=(ACCESS,),
            populations=("users_added", "keys_issued"),
            missing=_PEOPLE,
        ),
        Control(
            id="CC6.3",
            title="Access follows roles, and is taken away",
            exhibits=(ACCESS,),
            populations=("keys_revoked", "runs"),
            missing="tickets by which access was asked for and granted",
        ),
        Control(id="CC6.4", title="Physical access is restricted", missing="all of it: see the data centre's reports"),
        Control(
            id="CC6.5",
            title="Data is gone before equipment is given away",
            missing="all of it: see the data centre's reports",
        ),
        Control(
            id="CC6.6",
            title="Threats from outside are kept out",
            exhibits=(ENCRYPTION,),
            populations=("certificate_runs",),
            missing="firewalls, and tests of them from outside",
        ),
        Control(
            id="CC6.7",
            title="Data is protected on its way",
            exhibits=(ENCRYPTION,),
            populations=("certificate_runs", "handovers"),
            missing="removable media and people's machines",
        ),
        Control(
            id="CC6.8",
            title="Unwanted software is kept out",
            populations=("deployments", "test_results"),
            missing="scans for malware and for known weaknesses",
        ),
        Control(
            id="CC7.1",
            title="Changes of configuration and weaknesses are found",
            populations=("deployments", "alerts"),
            missing="scans for known weaknesses",
        ),
        Control(
            id="CC7.2",
            title="Operation is watched",
            populations=("alerts", "daily_reports", "pages"),
            missing="which rules of alerting there are, and why",
        ),
        Control(
            id="CC7.3",
            title="Events are judged",
            populations=("incidents", "alerts"),
            missing="events that nothing has raised an alert for",
        ),
        Control(
            id="CC7.4",
            title="Incidents are answered",
            populations=("incidents", "pages", "runs"),
            exhibits=(LOG,),
            missing="exercises of the plan",
        ),
        Control(
            id="CC7.5",
            title="Recovery is made, and learnt from",
            populations=("recovery_runs", "post_mortems"),
            missing="whether what was to be done after a post-mortem has been done",
        ),
        Control(
            id="CC8.1",
            title="Changes are authorised, tested and recorded",
            exhibits=(LOG,),
            populations=("deployments", "test_results", "maintenance_windows", "runs"),
            missing="review of the code itself, and changes made past this system",
        ),
        Control(
            id="A1.1",
            title="Capacity is watched",
            populations=("scaling_runs", "daily_reports"),
            missing="forecasts of demand",
        ),
        Control(
            id="A1.2",
            title="Data is backed up, and what runs is protected",
            populations=("backup_verdicts", "database_runs"),
            exhibits=(ENCRYPTION,),
            missing="power, cooling and fire: see the data centre's reports",
        ),
        Control(
            id="A1.3",
            title="Recovery is tested",
            populations=("recovery_runs", "backup_verdicts"),
            missing="a plan that says how often it is to be tested",
        ),
    ),
)

_HIPAA = Framework(
    name="hipaa",
    title="HIPAA Security Rule",
    scope="45 CFR 164.308 (administrative safeguards) and 164.312 (technical safeguards)",
    controls=(
        Control(
            id="164.308(a)(1)",
            title="Security management process",
            populations=("runs", "incidents"),
            exhibits=(LOG,),
            missing="the risk analysis, and sanctions",
        ),
        Control(id="164.308(a)(2)", title="Assigned responsibility", missing="who the security official is"),
        Control(id="164.308(a)(3)", title="Workforce security", exhibits=(ACCESS,), missing=_PEOPLE),
        Control(
            id="164.308(a)(4)",
            title="Information access management",
            exhibits=(ACCESS,),
            populations=("users_added", "keys_issued", "keys_revoked"),
            missing="which of it is access to health information",
        ),
        Control(id="164.308(a)(5)", title="Awareness and training", missing="all of it"),
        Control(
            id="164.308(a)(6)",
            title="Incident procedures",
            populations=("incidents", "post_mortems", "pages"),
            missing="notices to authorities and to people",
        ),
        Control(
            id="164.308(a)(7)",
            title="Contingency plan",
            populations=("backup_verdicts", "recovery_runs", "database_runs"),
            missing="the plan itself, and which data is critical",
        ),
        Control(id="164.308(a)(8)", title="Evaluation", populations=("evidence_access",), missing=_POLICIES),
        Control(id="164.308(b)(1)", title="Business associates", missing="all of it: contracts"),
        Control(
            id="164.312(a)(1)",
            title="Access control",
            exhibits=(ACCESS, ENCRYPTION),
            populations=("keys_issued", "keys_revoked"),
            missing="automatic log-off, and emergency access",
        ),
        Control(
            id="164.312(b)",
            title="Audit controls",
            exhibits=(LOG,),
            populations=("effects", "evidence_access"),
            missing="reads of health information by the service's users",
        ),
        Control(
            id="164.312(c)(1)",
            title="Integrity",
            populations=("runs", "backup_verdicts"),
            exhibits=(LOG,),
            missing="checks within the service of its own data",
        ),
        Control(
            id="164.312(d)",
            title="Person or entity authentication",
            exhibits=(ACCESS,),
            missing="how the identity provider verifies people",
        ),
        Control(
            id="164.312(e)(1)",
            title="Transmission security",
            exhibits=(ENCRYPTION,),
            populations=("certificate_runs",),
            missing="connections that nothing here knows of",
        ),
    ),
)

FRAMEWORKS: dict[FrameworkName, Framework] = {"soc2": _SOC2, "hipaa": _HIPAA}
