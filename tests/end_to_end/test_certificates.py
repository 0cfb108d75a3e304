"""A certificate that ends soon, on the whole stack: Prometheus' own alert, 6.3, an authority, and what is served."""

import asyncio

import httpx
import pytest

from sandbox.configuration import SERVICE
from tests.end_to_end.conftest import Stack, eventually
from tests.workflows.steering import result_of
from workflows.maintenance.certificate_renewal import CertificateRenewalResult

pytestmark = pytest.mark.timeout(600)


def days_left(stack: Stack) -> float:
    """Ask Prometheus; nothing is left as far as it knows before it has looked for the first time."""
    query = "(probe_ssl_earliest_cert_expiry - time()) / 86400"
    answer = httpx.get(f"{stack.environment.prometheus.url}/api/v1/query", params={"query": query}).json()
    left = [float(series["value"][1]) for series in answer["data"]["result"]]
    assert len(left) <= 1
    return left[0] if left else 0.0


def grow_old(stack: Stack) -> None:
    httpx.put(f"{stack.environment.tls_url}/certificate/10").raise_for_status()


async def renewals(stack: Stack) -> list[str]:
    query = "WorkflowType = 'CertificateRenewal'"
    return [run.id async for run in stack.client.list_workflows(query)]


async def test_a_certificate_that_ends_soon_is_renewed_and_served(stack: Stack) -> None:
    assert await renewals(stack) == []
    assert await eventually(lambda: asyncio.to_thread(lambda: days_left(stack) > 79))
    issued = stack.environment.authority.issued
    await asyncio.to_thread(grow_old, stack)
    (workflow_id,) = await eventually(lambda: renewals(stack))
    handle = stack.client.get_workflow_handle(workflow_id, result_type=CertificateRenewalResult)
    result: CertificateRenewalResult = await result_of(handle)
    assert len(result.renewed) == 1
    assert (result.failed, result.not_served, result.refused, result.paged) == ([], [], [], [])
    assert stack.environment.authority.issued == issued + 1
    assert result.service == SERVICE

    async def quiet() -> bool:
        return await asyncio.to_thread(lambda: days_left(stack) > 85 and stack.quiet())

    # The rule reads what is served: once that is the new one, the alert is over, and starts nothing more.
    assert await eventually(quiet)
    assert await renewals(stack) == [workflow_id]
