"""A procedure's input is checked before anything is started: fields, the service, and what its settings lack."""

import pytest

from activities.catalogue.service import Service
from starters.steering.errors import WrongInput
from starters.steering.identity import Person
from starters.steering.inputs import OF_RUNS, check_service, missing, validated, word_of_fields
from tests.workflows.worlds.world import World
from workers.registry import procedure
from workers.settings import Settings, TemporalSettings
from workflows.platform.run_status import Note

SCALE, GPU = procedure("emergency_scale_up"), procedure("add_gpu_node")
ADA = Person("ada", "commander")


def web() -> Service:
    return World().service.model_copy(update={"name": "web", "gpu": None})


def settings(*services: Service) -> Settings:
    return Settings.model_construct(
        temporal=TemporalSettings(), services={one.name: one for one in services}, approvals=World().approvals
    )


def test_a_field_that_is_none_is_named_with_those_there_are() -> None:
    with pytest.raises(WrongInput, match=r"factr.*Known fields: .*factor") as refused:
        validated(SCALE, {"factr": 2})
    assert not any(name in str(refused.value).split("Known fields: ")[1].split(", ") for name in OF_RUNS)


def test_a_value_is_never_told() -> None:
    with pytest.raises(WrongInput, match="lease") as refused:
        validated(SCALE, {"lease": "hunter2"})
    assert "hunter2" not in str(refused.value)


def test_a_service_that_is_not_known_is_refused_where_there_is_a_catalogue() -> None:
    request = validated(SCALE, {"service": "nonesuch"})
    with pytest.raises(WrongInput, match=r"nonesuch.*web"):
        check_service(SCALE, request, settings(web()))
    check_service(SCALE, request, settings())  # a laptop's settings have none: only the run can tell


def test_what_settings_lack_is_said_with_where_it_is_added() -> None:
    assert missing(SCALE, web()) == ""
    lacking = r"add \[services.web.gpu\] to the settings"
    with pytest.raises(WrongInput, match=rf"add-gpu-node can't run for web: {lacking}"):
        check_service(GPU, validated(GPU, {"service": "web"}), settings(web()))


def test_a_word_is_its_speakers_whatever_the_fields_say() -> None:
    word = word_of_fields(Note, ADA, {"text": "seen", "who": "mallory", "role": "dba"})
    assert (word.who, word.role, word.text) == ("ada", "commander", "seen")
    with pytest.raises(WrongInput, match="text"):
        word_of_fields(Note, ADA, {"text": ""})
