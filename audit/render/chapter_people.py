"""What people and machines said, and what was decided."""

from audit.render.clean import clean, clock, flattened
from audit.render.parts import Part
from audit.story import Question, Story, Word
from audit.text import lasted

_SIGNED = {
    "valid": "signed by the gateway, valid",
    "unsigned": "not signed",
    "invalid": "SIGNATURE DOES NOT FIT",
    "unreadable": "can't be read",
}
_TONES = {"valid": "good", "invalid": "bad"}


def decisions(story: Story) -> Part | None:
    """Tell what was asked, and who decided what, why, and whether that is proved."""
    if not story.questions:
        return None
    answers = {question.id: _answer(story, question) for question in story.questions}
    return Part(
        "Decisions and approvals",
        heads=("Asked", "Question", "Options", "Decided", "By", "Delay", "Reason", "Signature"),
        rows=tuple(_decision(question, answers[question.id], story) for question in story.questions),
        tones=tuple(_tone(answers[question.id]) for question in story.questions),
        widths=(1.5, 1.6, 2.3, 1, 1.3, 0.9, 1.3, 1),
    )


def _answer(story: Story, question: Question) -> Word | None:
    """Find the word that answered; earlier ones were refused."""
    words = [word for word in story.words if word.update == "decide" and word.fields.get("question") == question.id]
    taken = [
        word for word in words if question.by.startswith(word.who) and word.fields.get("choice") == question.choice
    ]
    return taken[-1] if taken and question.choice else None


def _decision(question: Question, answer: Word | None, story: Story) -> tuple[str, ...]:
    delay = lasted(question.delay) if question.delay is not None else "no answer"
    escalated = (
        f"\nescalated after {lasted(question.escalated_at - question.asked_at)}" if question.escalated_at else ""
    )
    unanswered = "—" if story.ended_at else "open"
    signature = _SIGNED[answer.standing] if answer else "nobody's word"
    return tuple(
        clean(cell)
        for cell in (
            clock(question.asked_at, story.started_at),
            f"{question.title}\n({question.id}; may decide: {', '.join(question.roles) or 'anybody'})",
            "\n".join(_option(question, name, does) for name, does in question.options.items()),
            question.choice or unanswered,
            question.by or "—",
            delay + escalated,
            question.reason or "—",
            signature if question.choice else "—",
        )
    )


def _option(question: Question, name: str, does: str) -> str:
    marks = [
        mark for mark, other in (("recommended", question.recommended), ("default", question.default)) if other == name
    ]
    return f"{name}: {does} ({', '.join(marks)})" if marks else f"{name}: {does}"


def _tone(answer: Word | None) -> str:
    if answer is not None:
        return _TONES.get(answer.standing, "")
    return "wait"


def words(story: Story) -> Part | None:
    """Tell what people sent in: notes, closings, extensions, and also answers that were refused."""
    told = [word for word in story.words if word.update != "decide"]
    answered = [_answer(story, question) for question in story.questions]
    told += [word for word in story.words if word.update == "decide" and word not in answered]
    if not told:
        return None
    told.sort(key=lambda word: (word.at, word.event_id))
    return Part(
        "What people said",
        heads=("Time", "What", "Who", "Words", "Answer", "Signature"),
        rows=tuple(
            tuple(
                clean(cell)
                for cell in (
                    clock(word.at, story.started_at),
                    word.update,
                    f"{word.who} ({word.role})" if word.role else word.who,
                    _fields(word.fields),
                    word.outcome,
                    _SIGNED[word.standing],
                )
            )
            for word in told
        ),
        tones=tuple(_TONES.get(word.standing, "") for word in told),
        widths=(1.5, 0.8, 1.2, 2.6, 1.8, 1),
    )


def _fields(value: object) -> str:
    return "\n".join(f"{name}: {text}" for name, text in flattened(value) if text != "false")


def said(story: Story) -> Part | None:
    """Tell what the run itself wrote down."""
    if not story.said:
        return None
    return Part(
        "What the run wrote down",
        heads=("Time", "Kind", "Section", "What", "Who"),
        rows=tuple(
            (clock(line.at, story.started_at), clean(line.kind), clean(line.section), clean(line.text), clean(line.who))
            for line in story.said
        ),
        tones=tuple("bad" if line.kind == "problem" else "" for line in story.said),
        widths=(1.5, 0.8, 0.7, 4, 1.2),
    )


def signals(story: Story) -> Part | None:
    """Tell what machines sent."""
    if not story.signals:
        return None
    return Part(
        "Signals",
        heads=("Time", "Signal", "Body", "From"),
        rows=tuple(
            (
                clock(signal.at, story.started_at),
                clean(signal.name),
                clean(_fields(signal.body)),
                clean(signal.identity),
            )
            for signal in story.signals
        ),
        widths=(1.5, 1.2, 4, 1),
    )
