"""Who a user of Slack is to runs, and who is nobody."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from activities.messages.chat.slack_calls import SlackCalls
from starters.slack.__main__ import check
from starters.slack.people import People
from starters.steering.errors import Refused
from tests.activities.contracts.serving import Misbehaviour, serving
from tests.activities.contracts.slack import SlackContract
from tests.starters.slack.workspace import TEAM, TOKEN
from workers.settings import Settings, SettingsError, SlackPersonSettings, SlackSettings

ADA = SlackPersonSettings(who="ada@example.org", roles=("commander", "on-call"))


@pytest.fixture
def contract() -> SlackContract:
    made = SlackContract(TOKEN)
    made.groups = {"S1": ["UADA", "UDBA", "UGUEST", "UMAIL"]}
    member = {"is_email_confirmed": True, "profile": {"email": "dba@example.org"}}
    made.users = {
        "UDBA": member,
        "UGUEST": member | {"is_restricted": True},
        "UMAIL": member | {"is_email_confirmed": False},
    }
    return made


@pytest.fixture
def people(contract: SlackContract) -> Iterator[People]:
    with serving(contract.app, Misbehaviour()) as url:
        settings = SlackSettings(
            token=SecretStr(TOKEN), base_url=f"{url}/api/", people={"UADA": ADA}, groups={"S1": ("dba",)}
        )
        yield People(settings, SlackCalls(SecretStr(TOKEN), settings.base_url))


async def test_a_person_has_the_roles_of_settings_and_of_their_groups(people: People) -> None:
    someone = await people.known({"id": "UADA"}, TEAM)
    assert (someone.who, someone.roles) == ("ada@example.org", ("commander", "on-call", "dba"))
    assert someone.as_one_of(["dba"], "restore").role == "dba"
    assert someone.as_one_of(None, "note").role == "commander"
    with pytest.raises(Refused, match="Roles that may: legal"):
        someone.as_one_of(["legal"], "decide")


async def test_a_member_of_a_group_is_known_by_their_confirmed_address(people: People) -> None:
    someone = await people.known({"id": "UDBA", "team_id": TEAM}, TEAM)
    assert (someone.who, someone.roles) == ("dba@example.org", ("dba",))


@pytest.mark.parametrize(
    ("user", "team"),
    [
        ({"id": "UNOBODY"}, TEAM),
        ({"id": "UGUEST"}, TEAM),
        ({"id": "UMAIL"}, TEAM),
        ({}, TEAM),
        ({"id": "UADA"}, "T2"),
        ({"id": "UADA"}, ""),
        ({"id": "UADA", "team_id": "T2"}, TEAM),
    ],
)
async def test_nobody_else_is_heard(people: People, user: dict[str, Any], team: str) -> None:
    with pytest.raises(Refused):
        await people.known(user, team)


async def test_a_group_that_can_t_be_read_gives_no_role(people: People, contract: SlackContract) -> None:
    contract.scopes -= {"usergroups:read"}
    assert (await people.known({"id": "UADA"}, TEAM)).roles == ("commander", "on-call")
    with pytest.raises(Refused):
        await people.known({"id": "UDBA"}, TEAM)


async def test_a_workspace_that_is_not_known_is_nobody_s(people: People, contract: SlackContract) -> None:
    contract.token = "another"
    with pytest.raises(Refused, match="which workspace is ours"):
        await people.known({"id": "UADA"}, TEAM)


@pytest.mark.parametrize(
    ("slack", "why"),
    [
        ({}, "token"),
        ({"token": "x"}, "app_token"),
        ({"token": "x", "app_token": "y"}, "people"),
        ({"token": "x", "signing_secrets": ["y"], "people": {"U1": ADA}}, "gateway.private_key"),
    ],
)
def test_a_process_that_could_take_no_word_doesn_t_start(slack: dict[str, Any], why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        check(Settings(slack=SlackSettings.model_validate(slack)))
