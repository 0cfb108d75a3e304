"""What the procedures about customers share: the tenant, pinned, and mails to the people there (runbook 5, 8.2)."""

from activities.catalogue.service import Service
from activities.common.effects import Change
from activities.common.errors import Refused
from activities.customers.api_keys import ApiKeys, Keys, KeysRequest
from activities.customers.tenants import Tenant, TenantRequest, Tenants
from activities.messages.mail.calendars import Meeting
from activities.messages.mail.mail import Mail, SendMail
from workflows.platform import policies, search_attributes
from workflows.platform.runbook import Runbook


def new_id(run: Runbook, prefix: str) -> str:
    """Choose an ID in the workflow, so that a retry means the same thing."""
    return f"{prefix}_{run.own_id(20)}"


async def find_tenant(run: Runbook, section: str, tenant_id: str) -> Tenant:
    """Read a tenant, and let the run be found by it.

    Raises:
        ActivityError: there is no such tenant (`NotFound`), or the records don't answer.

    """
    run.mark(search_attributes.TENANT.value_set(tenant_id))
    return await run.step(section, "Customer", Tenants.tenant, TenantRequest(tenant_id=tenant_id), policies.READ)


async def find_keys(run: Runbook, section: str, tenant_id: str) -> Keys:
    """Read a tenant's keys."""
    return await run.step(section, "API keys", ApiKeys.of_tenant, KeysRequest(tenant_id=tenant_id), policies.READ)


def must_be_active(tenant: Tenant) -> None:
    """Refuse what makes no sense for a tenant that is suspended or closed.

    Raises:
        Refused: says its status.

    """
    if tenant.status != "active":
        raise Refused(f"tenant_id: {tenant.tenant_id} is {tenant.status}: reopen it first")


class Customer:
    """The people of one tenant, as a run writes to them."""

    def __init__(self, run: Runbook, service: Service, name: str, email: str) -> None:
        self.run = run
        self.product = service.product
        self.name = name
        self.email = email

    async def mail(
        self,
        section: str,
        template: str,
        values: dict[str, str],
        *,
        handover_id: str | None = None,
        meeting: Meeting | None = None,
    ) -> Change:
        """Send a mail that the run can't go on without.

        Raises:
            ActivityError: it was refused, or no mail server took it for minutes.

        """
        request = self._mail(template, values, handover_id=handover_id, meeting=meeting)
        return await self.run.step(section, f"Mail: {template}", Mail.send, request, policies.EFFECT)

    async def tell(
        self, section: str, template: str, values: dict[str, str], *, meeting: Meeting | None = None
    ) -> Change | None:
        """Send a mail that is tried for a day in the background where the first tries fail."""
        request = self._mail(template, values, meeting=meeting)
        return await self.run.keep(section, f"Mail: {template}", Mail.send, request)

    def _mail(
        self, template: str, values: dict[str, str], *, handover_id: str | None = None, meeting: Meeting | None = None
    ) -> SendMail:
        return SendMail(
            to=self.email,
            name=self.name,
            template=template,
            values={"product": self.product, **values},
            handover_id=handover_id,
            meeting=meeting,
            effect=self.run.effect(f"mail-{template}"),
        )
