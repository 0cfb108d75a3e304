"""A channel is found, joined or created, whatever people do with it meanwhile."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import SecretStr

from activities.common.errors import Refused, Unavailable
from activities.messages.chat.slack import SlackChat
from tests.activities.contracts.serving import Misbehaviour
from tests.activities.contracts.slack import SlackContract
from tests.activities.messages.chat.posting import TOKEN, post


def test_a_channel_is_joined(chat: SlackChat, service: SlackContract) -> None:
    channel = service.add_channel("incidents")
    assert chat.post(post()).channel == channel
    assert service.calls.count("conversations.join") == 1
    chat.post(post("two"))
    assert service.calls.count("conversations.list") == 1, "its ID is remembered"


def test_a_missing_channel_is_created_once(service: SlackContract, base_url: str) -> None:
    with ThreadPoolExecutor(6) as threads:
        posted = list(
            threads.map(lambda n: SlackChat(SecretStr(TOKEN), base_url).post(post(f"post-{n}", "#inc-1")), range(6))
        )
    assert len({message.channel for message in posted}) == 1
    assert len(service.channels) == 1


def test_a_lost_answer_to_creating_the_channel_is_harmless(
    chat: SlackChat, service: SlackContract, faults: Misbehaviour
) -> None:
    faults.lose_answer("conversations.create")
    assert chat.post(post()).applied
    assert len(service.channels) == 1


def test_an_id_needs_no_look_up(chat: SlackChat, service: SlackContract) -> None:
    channel = service.add_channel("incidents")
    assert chat.post(post(channel=channel)).channel == channel
    assert "conversations.list" not in service.calls
    before = len(service.calls)
    chat.post(post("two", channel=channel))
    assert service.calls[before:] == ["conversations.history", "chat.postMessage"]


def test_being_removed_from_the_channel_is_mended(chat: SlackChat, service: SlackContract, channel: str) -> None:
    chat.post(post("one"))
    service.channels[channel]["is_member"] = False
    with pytest.raises(Unavailable, match="not_in_channel"):
        chat.post(post("two"))
    assert chat.post(post("two")).applied


def test_a_deleted_channel_is_looked_up_afresh(chat: SlackChat, service: SlackContract, channel: str) -> None:
    chat.post(post("one"))
    del service.channels[channel]
    with pytest.raises(Exception, match="channel_not_found"):
        chat.post(post("two"))
    assert chat.post(post("two")).channel != channel


def test_an_archived_or_hidden_channel_says_so(chat: SlackChat, service: SlackContract) -> None:
    service.add_channel("incidents", private=True)
    with pytest.raises(Refused, match="#incidents is archived, or private and without the app"):
        chat.post(post())
