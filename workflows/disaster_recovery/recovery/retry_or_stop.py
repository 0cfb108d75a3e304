"""Where a recovery can't go on by itself: people are paged, and one of them says whether to retry, go on or stop."""

import asyncio
from typing import Literal

from activities.catalogue.service import Service
from workflows.platform.approval import Question
from workflows.platform.runbook import Runbook
from workflows.shared.desk import Desk

Way = Literal["retry", "go-on", "stop"]
RETRY: Way = "retry"
GO_ON: Way = "go-on"
STOP: Way = "stop"


class RetryOrStop:
    """Asks for the way; where nobody answers it is to stop."""

    def __init__(self, run: Runbook, desk: Desk, service: Service) -> None:
        self.run = run
        self.desk = desk
        self.service = service
        self._asked: dict[str, int] = {}

    async def choose(self, what: str, trouble: str, *, retry: str, go_on: str | None, stop: str) -> Way:
        """Page, ask and wait; `retry`, `go_on` and `stop` say what each will do."""
        number = self._asked[what] = self._asked.get(what, 0) + 1
        question = Question(
            id=what if number == 1 else f"{what}-{number}",
            title=f"{trouble}. How does the recovery go on?",
            options={RETRY: retry, **({GO_ON: go_on} if go_on else {}), STOP: stop},
            recommended=RETRY if number == 1 else None,
            default=STOP,
            kind="mitigate",
            evidence=[trouble],
            reason_for=[GO_ON] if go_on else [],
            timeout=self.service.recovery.decision_timeout,
        )
        self.run.background(self._tell(question, trouble))
        answer = await self.run.ask(question, escalate=self.desk.escalate)
        return RETRY if answer.choice == RETRY else GO_ON if answer.choice == GO_ON else STOP

    async def _tell(self, question: Question, trouble: str) -> None:
        await asyncio.gather(self.desk.page(trouble), self.desk.ask(question))
