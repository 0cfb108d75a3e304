"""Search attributes: how runs are found in the Temporal UI. All are registered before the first worker starts."""

from temporalio.common import SearchAttributeKey

PROCEDURE = SearchAttributeKey.for_keyword("RunbookProcedure")
SEVERITY = SearchAttributeKey.for_keyword("RunbookSeverity")
SERVICE = SearchAttributeKey.for_keyword("RunbookService")
INCIDENT = SearchAttributeKey.for_keyword("RunbookIncident")
TENANT = SearchAttributeKey.for_keyword("RunbookTenant")
OUTCOME = SearchAttributeKey.for_keyword("RunbookOutcome")
WAITING_FOR = SearchAttributeKey.for_keyword("RunbookWaitingFor")

SEARCH_ATTRIBUTES: tuple[SearchAttributeKey[str], ...] = (
    PROCEDURE,
    SEVERITY,
    SERVICE,
    INCIDENT,
    TENANT,
    OUTCOME,
    WAITING_FOR,
)
