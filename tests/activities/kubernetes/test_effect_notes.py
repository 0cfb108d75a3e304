"""Notes of effects among an object's annotations."""

import json

from activities.kubernetes import effect_notes
from activities.kubernetes.effect_notes import EFFECTS, Done


def _done(key: str, note: str = "") -> Done:
    return Done(key=key, by="a@b.c", before="3 replicas", after="5 replicas", note=note)


def test_what_is_noted_is_found():
    annotations = {EFFECTS: effect_notes.noted({}, _done("a"), _done("b", "why"))}
    assert effect_notes.find("b", annotations) == _done("b", "why")
    assert effect_notes.find("c", annotations) is None


def test_a_note_is_found_on_any_of_several_objects():
    one, other = ({EFFECTS: effect_notes.noted({}, _done(key))} for key in "ab")
    assert effect_notes.find("b", one, {}, other) == _done("b")


def test_the_last_five_are_kept():
    annotations: dict[str, str] = {"team": "sre"}
    for key in "abcdefg":
        annotations[EFFECTS] = effect_notes.noted(annotations, _done(key))
    assert [done.key for done in effect_notes.read(annotations)] == list("cdefg")


def test_a_note_that_somebody_has_spoilt_is_none():
    for spoilt in ("spoilt", "", "{}", '[{"key": "a"}]'):
        assert effect_notes.read({EFFECTS: spoilt}) == []
        assert effect_notes.find("b", {EFFECTS: effect_notes.noted({EFFECTS: spoilt}, _done("b"))}) == _done("b")


def test_the_format_is_that_of_notes_already_in_clusters():
    old = '[{"key":"a","by":"a@b.c","before":"3 replicas","after":"5 replicas"}]'
    assert effect_notes.read({EFFECTS: old}) == [_done("a")]
    assert effect_notes.noted({}, _done("a")) == old
    assert "note" in json.loads(effect_notes.noted({}, _done("a", "why")))[0]
