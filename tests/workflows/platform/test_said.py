"""A word counts once, in the run it was said to, about what was shown, and for the one person who said it."""

import ast
import asyncio
import base64
import inspect
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar, get_type_hints
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from temporalio import workflow
from temporalio.client import Client, WorkflowUpdateFailedError

from activities.catalogue.service import ApprovalPolicy
from audit.payloads import Decoder
from audit.reading import read
from tests.workflows.conftest import Working
from tests.workflows.steering import Handle, begin, comes, goes_on, say, told, until, waiting_for
from tests.workflows.worlds.platform import Platform
from workers.registry import PROCEDURES
from workflows.platform.approval import Answer, Decision
from workflows.platform.lease import Extend, Resume
from workflows.platform.requests import ServiceRequest
from workflows.platform.run_status import Note, RunStatus
from workflows.platform.runbook import Runbook
from workflows.platform.signing import STARTED, SignedWord, Started, person, sign
from workflows.scaling.add_gpu_node import AddGpuNodeRequest
from workflows.scaling.emergency_scale_up import EmergencyScaleUpRequest

KEY = Ed25519PrivateKey.generate()
PUBLIC = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()
SIGNED = ApprovalPolicy(public_keys=(PUBLIC,))
_Word = TypeVar("_Word", bound=SignedWord)


@workflow.defn(name="Chain", sandboxed=False)
class Chain(Runbook):
    """Goes on as new when it is noted to, and ends with its second run's first note."""

    SECTION = "0.0"

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    @workflow.run
    async def run(self, request: ServiceRequest) -> list[str]:
        """Wait for a note."""
        await self.begin(request, title="Chain", service=request.service)
        await workflow.wait_condition(lambda: bool(self.notes))
        await self.settle()
        if workflow.info().continued_run_id is None:
            workflow.continue_as_new(request, memo=self.handed_on)
        return [*self.notes, *sorted(self.approvals.starters)]

    async def noted(self, note: Note) -> None:
        """Keep it."""
        self.notes.append(note.text)


@pytest.fixture
def workflow_types(workflow_types: Sequence[type]) -> Sequence[type]:
    return [*workflow_types, Chain]


async def signed(handle: Handle, word: _Word, *, run_id: str | None = None, at: datetime | None = None) -> _Word:
    now = at or (await handle.query("status", result_type=RunStatus)).now
    dated = word.model_copy(update={"issued_at": now, "nonce": word.nonce or uuid4().hex})
    run = run_id or (await handle.describe()).run_id
    return dated.model_copy(update={"signature": sign(dated, KEY, handle.id, run)})


async def refusal(handle: Handle, word: SignedWord) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(word.UPDATE, word)
    return str(refused.value.cause)


def extend(who: str = "ada") -> Extend:
    return Extend(who=who, role="on-call", by=timedelta(minutes=5))


def test_every_update_of_every_procedure_takes_a_signed_word() -> None:
    """The rule is asked before each update; it knows a word by its type."""
    updates = [
        (known.name, name, get_type_hints(update.fn)[[*inspect.signature(update.fn).parameters][1]])
        for known in PROCEDURES
        for name, update in workflow._Definition.must_from_class(known.workflow).updates.items()
    ]
    assert len(updates) > 60
    assert [(procedure, name) for procedure, name, hint in updates if not issubclass(hint, SignedWord)] == []


@pytest.mark.parametrize("nonce", ["", uuid4().hex], ids=["known by what is signed", "known by its number"])
async def test_a_copy_of_a_word_gets_the_same_answer_and_does_nothing(
    working: Working, client: Client, nonce: str
) -> None:
    world = Platform()
    world.approvals = SIGNED
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, EmergencyScaleUpRequest(), "emergency_scale_up")
        await until(handle, lambda status: status.phase == "Autoscaler paused" and "Pods" in str(status.entries))
        before = world.lease_until
        assert before is not None
        word = await signed(handle, extend())
        if not nonce:
            bare = word.model_copy(update={"nonce": None})
            signature = sign(bare, KEY, handle.id, handle.result_run_id or "")
            word = bare.model_copy(update={"signature": signature})
        answers = await asyncio.gather(*(handle.execute_update("extend", word, result_type=str) for _ in range(3)))
        assert world.lease_until == before + timedelta(minutes=5)
        assert len(set(answers)) == 1
        assert len(world.done("autoscalers.renew")) == 1
        if nonce:
            other = word.model_copy(update={"by": timedelta(minutes=9)})
            assert "another word" in await refusal(handle, other)
        assert (await handle.execute_update("extend", await signed(handle, extend()), result_type=str)) not in answers
        assert world.lease_until == before + timedelta(minutes=10), "a word said anew counts"
        await handle.execute_update("resume", await signed(handle, Resume(who="ada", role="on-call")))
        await handle.result()
        timeline = await told(handle)
    assert timeline.count("Said already, and not done again: extend") == 2


async def test_a_refusal_is_the_answer_too(working: Working, client: Client) -> None:
    world = Platform()
    world.node_comes = False
    world.approvals = SIGNED
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, AddGpuNodeRequest(), "add_gpu_node")
        status = await waiting_for(handle, "decide put-back")
        (question,) = status.questions
        said = Decision(who="ada", role="on-call", question="put-back", choice="put-back")
        assert "what was shown" in await refusal(handle, await signed(handle, said))
        shown = said.model_copy(update={"subject": question.subject})
        assert "something else" in await refusal(
            handle, await signed(handle, said.model_copy(update={"subject": "another"}))
        )
        word = await signed(handle, shown)
        first, again = [await handle.execute_update("decide", word, result_type=Answer) for _ in range(2)]
        assert first == again
        assert (await handle.result())["outcome"] == "put back"


async def test_a_word_counts_in_the_run_it_was_said_to_and_in_no_later_one(working: Working, client: Client) -> None:
    world = Platform()
    world.approvals = SIGNED
    async with working(world.activities()) as queue:
        identity = f"chain-{uuid4()}"
        start = Started(who="Ada", role="on-call")
        memo = start.model_copy(update={"signature": sign(start, KEY, identity, "")})
        dated = start.model_copy(update={"issued_at": datetime.fromisoformat("2020-01-01T00:00:00+00:00")})
        memo = dated.model_copy(update={"signature": sign(dated, KEY, identity, "")})
        first = await client.start_workflow(
            "Chain",
            ServiceRequest(requested_by="x"),
            id=identity,
            task_queue=queue,
            memo={STARTED: memo.model_dump(mode="json"), "episodes": "of another kind"},
        )
        latest = client.get_workflow_handle(identity)
        word = await signed(first, Note(who="ada", role="on-call", text="go on"))
        await say(first, "note", word)
        run = await goes_on(latest, first.result_run_id)

        async def begun() -> bool:
            return "only just starting" not in await refusal(latest, word)

        await comes(begun, "that the next run has begun")
        assert "fits none" in await refusal(latest, word), "the same word in the next run"
        old = await signed(latest, Note(who="ada", role="on-call", text="again"), run_id=first.result_run_id)
        assert "fits none" in await refusal(latest, old), "a new word, signed for the run before"
        good = await signed(latest, Note(who="ada", role="on-call", text="here"), run_id=run)
        await latest.execute_update("note", good)
        assert await latest.result() == ["here", "ada", "x"]
        history = await client.get_workflow_handle(identity, run_id=run).fetch_history()
        story = read(history.to_json_dict(), namespace="default", workflow_id=identity, run_id=run, decoder=Decoder())
    assert [said.standing for said in story.words] == ["valid"]


@pytest.mark.parametrize(
    ("starter", "counts", "says"),
    [
        ("ada", False, "started this run"),
        ("Ada (on-call)", False, "started this run"),
        ("ada", True, ""),
        ("eve", False, ""),
    ],
)
async def test_the_starter_is_not_one_of_two(
    working: Working,
    client: Client,
    starter: str,
    counts: bool,  # noqa: FBT001
    says: str,
) -> None:
    world = Platform()
    world.node_comes = False
    world.approvals = ApprovalPolicy(allow_unsigned=True, second_person=("scale",), starter_counts=counts)
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, AddGpuNodeRequest(requested_by=starter), "add_gpu_node")
        await waiting_for(handle, "decide put-back")
        word = Decision(who="ada ", role="on-call", question="put-back", choice="put-back")
        if says:
            assert says in await refusal(handle, word)
        else:
            assert (await handle.execute_update("decide", word, result_type=Answer)).needs
            for same in ("ada", "ADA", "\uff41da", " a\u200bda", "ada\u00a0"):
                again = await refusal(handle, word.model_copy(update={"who": same}))
                assert "was the first" in again, same
        keeps = word.model_copy(update={"choice": "keep"})
        await handle.execute_update("decide", keeps, result_type=Answer)
        assert (await handle.result())["outcome"] == "no node"


def test_every_run_that_another_starts_knows_who_began_it_all() -> None:
    """They are not one of two people there either; what the system starts for itself asks nobody."""
    calls = [
        (file.name, call)
        for file in (Path(__file__).parents[3] / "workflows").rglob("*.py")
        if file.parent.name != "upkeep"
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func).endswith(("start_child_workflow", "execute_child_workflow"))
    ]
    assert len(calls) > 6
    assert [file for file, call in calls if ".began" not in ast.unparse(call)] == []


@given(
    st.text(max_size=60), st.sampled_from(["\u200b", " ", "\u034f", "\U000e0101", "\u3164", "\x07"]), st.integers(0, 60)
)
def test_a_name_has_one_form_whatever_is_put_into_it(name: str, unseen: str, place: int) -> None:
    once = person(name)
    assert person(once) == once
    where = place % (len(name) + 1)
    put = f"{name[:where]}{unseen}{name[where:]}"
    assert person(put).replace(" ", "") == once.replace(" ", "")
    for spelled in (f" {name}", f"{name}\t"):
        assert person(spelled) == once


def test_names_are_compared_in_one_form() -> None:
    assert person(" Ada\t Lovelace ") == person("ada lovelace") == "ada lovelace"
    assert person("Stra\u00dfe") == person("STRASSE")
    assert person("e\u0301va") == person("\u00c9VA")
    assert person("ada") != person("bob")
