"""The page of runs that have ended: the same stories give the same page."""

from collections.abc import Sequence

from audit.render import show
from audit.render.chapters import Told
from audit.story import Story


def html(stories: Sequence[Story]) -> str:
    """Write one self-contained page, as of the last thing that is told."""
    last = max(story.ended_at or story.started_at for story in stories)
    return show.html([Told(story) for story in stories], last)
