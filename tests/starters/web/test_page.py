"""The operators' page over HTTP: who is let in, what counts, and what it says while its servers are away."""

import asyncio
import gc
import re
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from activities.catalogue.service import ApprovalPolicy, IncidentPolicy
from sandbox.temporal import Temporal
from starters.steering import runs
from starters.steering.session import Session
from starters.web.live import Hub
from starters.web.pages import lines
from starters.web.place import part
from tests.plugins.patience import HANGS
from tests.starters.web.served import Served, keys, serving
from tests.workflows.steering import Handle, begin, until
from tests.workflows.worlds.world import World
from workers.registry import PROCEDURES
from workflows.incident_response.p1_incident import P1Request
from workflows.platform.run_status import RunStatus

SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
async def served(own_temporal: Temporal, create_database: Any, records_template: str) -> AsyncIterator[Served]:
    key, public = keys()
    approvals = ApprovalPolicy(public_keys=(public,), second_person=("mitigate",))
    world = World(IncidentPolicy(mitigation="approve"), approvals)
    world.bad_release()
    async with serving(own_temporal.address, create_database(records_template), world, key) as page:
        yield page


async def asked(served: Served) -> Handle:
    """Begin an incident that asks what to do."""
    served.world.bad_release()
    handle = await begin(served.client, served.queue, P1Request(), "p1_incident")
    await until(handle, lambda now: bool(now.questions))
    return handle


async def csrf_of(http: httpx.AsyncClient) -> str:
    text = (await http.get("/")).text
    found = re.search(r'X-CSRF-Token": "([0-9a-f]{64})"', text)
    assert found, text
    return found[1]


async def test_nobody_gets_in_without_a_link_and_each_link_lets_one_in(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.base_url) as http:
        for path in ("/", "/run?id=x", "/runbook", "/search", "/report", "/record?id=x", "/picture.svg?id=x"):
            answer = await http.get(path)
            assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/sign-in"), path
        for path in ("/answer", "/say", "/cancel", "/plan/rollback", "/start/rollback"):
            assert (await http.post(path, headers=SAME)).headers["location"] == "/sign-in", path
        assert (await http.get("/live/now")).status_code == 401
        link = served.link("ada", "commander")
        assert (await http.get(link)).status_code == 200, "looking at it uses nothing up"
        assert (await http.post(link, headers=SAME)).status_code == 303
        assert "ada" in (await http.get("/")).text
    async with httpx.AsyncClient(base_url=served.base_url) as other:
        assert (await other.post(link, headers=SAME)).status_code == 410


async def test_only_the_pages_own_forms_count(served: Served) -> None:
    async with served.signed_in() as http:
        token = await csrf_of(http)
        wrong = [
            {},
            {"X-CSRF-Token": "0" * 64},
            {"X-CSRF-Token": token, "Sec-Fetch-Site": "cross-site"},
            {"X-CSRF-Token": token, "Origin": "https://elsewhere.example"},
        ]
        for headers in wrong:
            answer = await http.post("/say", data={"workflow_id": "x"}, headers=headers)
            assert answer.status_code == 403, headers
        right = await http.post("/say", data={"workflow_id": "x"}, headers={"X-CSRF-Token": token, **SAME})
        assert right.status_code == 404
        assert (await http.get("/", headers={"Host": "rebound.example"})).status_code == 421


async def test_every_answer_forbids_what_is_not_ours(served: Served) -> None:
    async with served.signed_in() as http:
        for path in ("/", "/runbook", "/search", "/nothing", "/static/page.css", "/sign-in"):
            policy = (await http.get(path)).headers["content-security-policy"]
            assert "default-src 'none'" in policy, path
            assert "unsafe" not in policy, path
        cookie = next(iter(http.cookies.jar))
        assert cookie.has_nonstandard_attr("HttpOnly")
        assert cookie.get_nonstandard_attr("SameSite") == "lax"


async def test_a_cookie_that_was_changed_lets_nobody_in(served: Served) -> None:
    async with served.signed_in() as http:
        name, value = next((one.name, one.value or "") for one in http.cookies.jar)
        head, claims, _ = value.split(".")
        for forged in (f"{head}.{claims}.", value[:-4] + "AAAA", "", "x", f"eyJhbGciOiJub25lIn0.{claims}."):
            http.cookies.clear()
            http.cookies.set(name, forged, domain="127.0.0.1")
            assert (await http.get("/")).status_code == 303, forged


async def test_a_question_takes_two_people_and_the_role_that_settings_give(served: Served) -> None:
    handle = await asked(served)
    (question,) = (await until(handle, lambda now: bool(now.questions))).questions
    form = {
        "workflow_id": handle.id,
        "run_id": handle.first_execution_run_id or "",
        "question": question.id,
        "subject": question.subject,
        "choice": "rollback",
        "reason": "v1.2.4 crashes",
    }

    async def answer(http: httpx.AsyncClient, **changed: str) -> httpx.Response:
        headers = {"X-CSRF-Token": await csrf_of(http), "HX-Request": "true", **SAME}
        return await http.post("/answer", data={**form, **changed}, headers=headers)

    async with served.signed_in("ada", "commander") as ada, served.signed_in("cy", "support") as cy:
        refused = await answer(cy, role="commander")
        assert refused.status_code == 409, refused.text
        assert "may not mitigate" in refused.text
        assert "read it again" in (await answer(ada, subject="another")).text
        assert "needs a second person" in (await answer(ada)).text
        again = await answer(ada)
        assert again.status_code == 409
        assert "was the first" in again.text
        async with served.signed_in("bo", "on-call") as bo, served.signed_in("di", "on-call") as di:
            both = await asyncio.gather(answer(bo), answer(di))
            assert sorted(one.status_code for one in both) == [200, 409]
            late = next(one for one in both if one.status_code == 409)
            assert "is decided: rollback" in late.text
    await handle.terminate("the test has seen enough")


async def test_words_that_cannot_be_meant_are_refused_in_a_sentence(served: Served) -> None:
    handle = await asked(served)
    async with served.signed_in() as http:
        headers = {"X-CSRF-Token": await csrf_of(http), "HX-Request": "true", **SAME}
        base = {"workflow_id": handle.id, "run_id": handle.first_execution_run_id or ""}
        for fields, said in (
            ({"word": "no-such"}, "knows no such word"),
            ({"word": "decide"}, "knows no such word"),
            ({"word": "close", "f.resolution": "x"}, "root_cause: Field required"),
            (
                {"word": "close", "f.who": "somebody", "f.role": "cto", "f.resolution": "x"},
                "root_cause: Field required",
            ),
        ):
            answer = await http.post("/say", data={**base, **fields}, headers=headers)
            assert answer.status_code == 422, answer.text
            assert said in answer.text
        noted = await http.post("/say", data={**base, "word": "note", "f.text": "<b>seen</b>\x1b[31m"}, headers=headers)
        assert noted.status_code == 200, noted.text
        text = (await http.get("/run", params={"id": handle.id})).text
        assert "&lt;b&gt;seen&lt;/b&gt;␛[31m" in text
        assert "ada (commander)" in text
    await handle.terminate("the test has seen enough")


async def test_only_what_was_planned_is_started(served: Served) -> None:
    async with served.signed_in() as http:
        headers = {"X-CSRF-Token": await csrf_of(http), "HX-Request": "true", **SAME}
        wrong = await http.post("/plan/p1-incident", data={"f.service": "nobody"}, headers=headers)
        assert wrong.status_code == 422
        planned = await http.post("/plan/p1-incident", data={"f.service": "tensafe-server"}, headers=headers)
        assert planned.status_code == 200, planned.text
        hidden = dict(re.findall(r'name="(request|plan)" value="([^"]*)"', planned.text))
        request = hidden["request"].replace("&#34;", '"')
        other = request.replace("tensafe-server", "another")
        for path, sent in (("p1-incident", other), ("rollback", request)):
            answer = await http.post(f"/start/{path}", data={"request": sent, "plan": hidden["plan"]}, headers=headers)
            assert answer.status_code == 422
        begun = await http.post(
            "/start/p1-incident", data={"request": request, "plan": hidden["plan"]}, headers=headers
        )
        assert begun.status_code == 200, begun.text
        assert begun.headers["hx-redirect"].startswith("/run?id=p1-incident")
        twice = await http.post(
            "/start/p1-incident", data={"request": request, "plan": hidden["plan"]}, headers=headers
        )
        assert twice.status_code == 409
        assert "runs already" in twice.text
    handle = served.client.get_workflow_handle("p1-incident/tensafe-server")
    status = await until(handle, lambda now: bool(now.entries))
    assert not status.dry_run
    await handle.terminate("the test has seen enough")


async def test_who_has_no_role_may_look_only(served: Served) -> None:
    served_people = served.settings.web.people
    assert served_people == {}
    async with served.signed_in("eve", "visitor") as http:
        headers = {"X-CSRF-Token": await csrf_of(http), **SAME}
        answer = await http.post("/cancel", data={"workflow_id": "x"}, headers=headers)
        assert answer.status_code == 422, "a reason is asked for first"


async def test_each_procedure_has_its_page_line_by_line(served: Served) -> None:
    async with served.signed_in() as http:
        listed = (await http.get("/runbook")).text
        assert listed.count('href="/runbook/') == len(PROCEDURES)
        for procedure in PROCEDURES:
            page = await http.get(f"/runbook/{procedure.command}")
            assert page.status_code == 200, (procedure.command, page.text)
            assert 'name="f.service"' in page.text, procedure.command
            assert 'name="f.requested_by"' not in page.text, procedure.command
            for line in lines()[procedure.section]:
                assert line["functions"] or line["text"], line
        assert (await http.get("/runbook/nothing")).status_code == 404


async def test_past_runs_are_found_in_temporal_and_the_archive_says_what_it_has(served: Served) -> None:
    handle = await asked(served)
    async with served.signed_in() as http:
        async with asyncio.timeout(HANGS):
            while (
                "p1-incident%2Ftensafe-server"
                not in (await http.get("/search", params={"q": "p1-incident", "state": "open"})).text
            ):
                await asyncio.sleep(0.2)
        assert "Nothing of that kind" in (await http.get("/search", params={"q": "no such thing"})).text
        assert "Nothing of that kind" in (await http.get("/archive", params={"q": "no such thing"})).text
        record = await http.get("/record", params={"id": handle.id})
        assert "style-src 'unsafe-inline'" in record.headers["content-security-policy"]
        assert "Which mitigation?" in record.text
        assert (await http.get("/report")).status_code == 200
        assert (await http.get("/report", params={"month": "soon"})).status_code == 422
        picture = await http.get("/picture.svg", params={"id": handle.id})
        assert picture.headers["content-type"] == "image/svg+xml"
        assert "prefers-color-scheme" in picture.text
        assert (await http.get("/run", params={"id": "no-such-run"})).status_code == 404
    await handle.terminate("the test has seen enough")


async def test_a_fact_that_speaks_for_two_things_is_shown_once(served: Served) -> None:
    handle = await asked(served)
    status: RunStatus = await handle.query("status", result_type=RunStatus)
    (question,) = status.questions
    twice = question.model_copy(update={"evidence": ["health: unhealthy", "pods: 3 of 3", "health: unhealthy"]})
    shown = part(
        "_questions.html.j2",
        status=status.model_copy(update={"questions": [twice]}),
        run=SimpleNamespace(running=True, workflow_id=handle.id, description=SimpleNamespace(run_id="1")),
        until=lambda one: one.asked_at + one.timeout,
    ).html
    assert shown.count("health: unhealthy") == 1


async def test_without_temporal_the_page_says_so_and_what_still_works(
    create_database: Any, records_template: str
) -> None:
    key, _ = keys()
    url = create_database(records_template)
    async with serving("127.0.0.1:1", url, World(), key, work=False) as page, page.signed_in() as http:
        now = await http.get("/")
        assert now.status_code == 200
        assert "Temporal does not answer" in now.text or "Looking what is open" in now.text
        run = await http.get("/run", params={"id": "p1-incident/tensafe-server"})
        assert run.status_code == 503
        assert "nothing is lost" in run.text
        assert (await http.get("/search")).text.count("only the archive can be searched") == 1
        assert (await http.get("/runbook")).status_code == 200
        assert (await http.get("/runbook/rollback")).status_code == 200
        assert "All systems operational" in (await http.get("/status/")).text
        assert (await http.get("/readyz")).status_code == 503
        said = await http.post(
            "/cancel", data={"workflow_id": "x", "reason": "y"}, headers={"X-CSRF-Token": await csrf_of(http), **SAME}
        )
        assert said.status_code == 503


async def test_without_the_records_a_month_is_not_counted_and_runs_can_be_seen(own_temporal: Temporal) -> None:
    key, _ = keys()
    gone = "postgresql://nobody@127.0.0.1:1/records"
    async with serving(own_temporal.address, gone, World(), key, work=False) as page, page.signed_in() as http:
        report = await http.get("/report")
        assert report.status_code == 503
        assert "<h1>Not available now</h1>" in report.text
        assert "The records don&#39;t answer" in report.text
        assert (await http.get("/")).status_code == 200
        assert "Nothing of that kind" in (await http.get("/search", params={"q": "no such thing"})).text
        archive = (await http.get("/archive")).text
        # It takes its place above the runs: with a thousand of them nobody would see it below.
        assert archive.startswith('<div id="archive-trouble" hx-swap-oob="true">')
        assert "The archive can&#39;t be read now" in archive
        assert "say how things are just now" in (await http.get("/status/")).text


async def test_a_run_is_asked_once_for_all_who_look_at_it(served: Served) -> None:
    handle = await asked(served)
    (hub,) = (one for one in gc.get_objects() if isinstance(one, Hub) and one._session.settings is served.settings)
    run = await runs.describe(Session(served.settings, served.client), handle.id, None)
    assert run is not None
    before, begun = hub.asked, asyncio.Semaphore(0)

    async def looks() -> None:
        async for event in hub.events(run):
            if event.startswith("event: timeline"):
                begun.release()
            if "seen by all" in event:
                return

    viewers = [asyncio.create_task(looks()) for _ in range(50)]
    for _ in viewers:
        await begun.acquire()
    async with served.signed_in() as http:
        said = await http.post(
            "/say",
            data={"workflow_id": handle.id, "run_id": run.description.run_id, "word": "note", "f.text": "seen by all"},
            headers={"X-CSRF-Token": await csrf_of(http), "HX-Request": "true", **SAME},
        )
        assert said.status_code == 200, said.text
    await asyncio.gather(*viewers)
    assert hub.asked - before < len(viewers), "not for each of them"
    await handle.terminate("the test has seen enough")
