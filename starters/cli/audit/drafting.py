"""The draft of a post-mortem, and what people made of an earlier one."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from audit.postmortem import sections
from audit.postmortem_document import NotOurs, Section, compose, merge
from audit.story import Story
from starters.cli.audit.incident import material_of
from starters.cli.audit.output import deliver
from starters.cli.audit.room import reading
from starters.cli.people import Exit, Stop, complaints


async def postmortem(incident: str, *, output: Path | None) -> None:
    """Write the draft, or bring the one in the file up to date.

    Raises:
        Stop: nobody knows the incident, or the file is somebody else's.

    """
    async with reading("postmortem", incident) as room:
        material = await material_of(room, incident)
    _deliver(incident, sections(material), material.stories, output)


def _deliver(incident: str, written: list[Section], stories: Sequence[Story], output: Path | None) -> None:
    if output is None or not output.exists():
        deliver(compose(incident, written), output)
        return
    deliver(_merged(_there(output), incident, written, stories, output), output)


def _there(output: Path) -> str:
    try:
        # Byte for byte: line ends are people's too.
        return output.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise Stop(Exit.USAGE, f"--output: {output} can't be read: {why}") from None


def _merged(there: str, incident: str, written: list[Section], stories: Sequence[Story], output: Path) -> str:
    """Bring what is there up to date, and say what was left alone.

    The draft that the run itself wrote at closing is taken for ours as long as nobody has changed a byte of it.
    """
    digest = hashlib.sha256(there.encode()).hexdigest()
    if any(digest in step.result for story in stories for step in story.steps):
        return compose(incident, written)
    try:
        merged = merge(there, incident, written)
    except NotOurs as error:
        raise Stop(Exit.REFUSED, f"{output} is left as it is: {error}. Name another file with --output") from None
    for how, names in (("edited by somebody", merged.edited), ("not there any more", merged.removed)):
        if names:
            complaints.print(f"left as people want them, {how}: {', '.join(names)}", style="yellow", markup=False)
    return merged.text
