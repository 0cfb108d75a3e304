"""Is what was brought back good: each component, then all of it (runbook 7.2 steps 4 and 5)."""

from activities.catalogue import Service
from workflows.disaster_recovery import components, integration_tests
from workflows.disaster_recovery.crossroads import GO_ON, STOP, Crossroads
from workflows.shared.runbook import Runbook


class Proof:
    """Whether the service was found good; people may go on in spite of it, with a reason."""

    def __init__(self, run: Runbook, service: Service, ways: Crossroads) -> None:
        self.run = run
        self.service = service
        self.ways = ways
        self.trouble = ""
        """What speaks against it now; with it, traffic is not brought back by itself."""

    async def give(self, restarted: list[str], version: str) -> bool:
        """Look, and test; False where people say to stop."""
        for phase, what in (("Verify each component", "component"), ("Integration tests", "tests")):
            self.run.phase(phase)
            while True:
                found = await self._look(what, restarted, version)
                self.trouble = "; ".join(found)
                if not self.trouble:
                    break
                self.run.say("problem", self.trouble, section=self.run.SECTION)
                way = await self.ways.choose(
                    what, self.trouble, retry="look again", go_on="go on: traffic comes back in spite of it",
                    stop="stop before traffic comes back, and leave it to people",
                )  # fmt: skip
                if way == STOP:
                    return False
                if way == GO_ON:
                    self.trouble = ""
                    break
        return True

    async def _look(self, what: str, restarted: list[str], version: str) -> list[str]:
        if what == "tests":
            return await integration_tests.failing(self.run, self.service, version)
        if self.run.dry_run:
            self.run.say("decision", f"would look at {', '.join(restarted)} and the components", section="7.2/4")
            return []
        return await components.ailing(self.run, self.service, restarted)
