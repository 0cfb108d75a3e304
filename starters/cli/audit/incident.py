"""What a post-mortem is written from: the runs of an incident, its metrics, and what changed before."""

import asyncio
import hashlib
import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from audit.errors import RunNotFound
from audit.live import fetch
from audit.postmortem import Material
from audit.postmortem_impact import Series, read_metrics
from audit.postmortem_releases import Release, releases
from audit.report_reading import is_incident
from audit.skeleton import restore
from audit.store_filter import Filter
from audit.story import Step, Story
from starters.cli.people import Exit, Stop
from starters.past.room import Room
from workers.settings import Settings

_BEFORE = timedelta(hours=24)
_CHANGES = 50
_RUNS = 100
_KEPT = re.compile(r"uri: (?P<uri>\S+), sha256: (?P<sha256>[0-9a-f]{64})")


async def material_of(room: Room, incident_id: str) -> Material:
    """Gather it.

    Raises:
        Stop: nobody knows the incident.

    """
    found = [one.story async for one in room.search.latest(Filter(incident=incident_id), _RUNS)]
    own = sorted(found, key=lambda story: (not is_incident(story), story.started_at, story.run.run_id))
    if not own:
        raise Stop(Exit.NOT_FOUND, f"no run of an incident {incident_id!r}, neither in Temporal nor in the archive")
    stories = own + await _children(room, own)
    main = own[0]
    metrics, trouble = _metrics(room.settings, stories)
    changes = await _changes(room, main, {story.run.run_id for story in stories})
    return Material(incident_id, stories, metrics, trouble, changes, await _releases(room, main))


async def _children(room: Room, parents: list[Story]) -> list[Story]:
    """Find what the runs started; they carry no incident's ID."""
    known = {story.run.run_id for story in parents}
    found: list[Story] = []
    waiting = [child.run for story in parents for child in story.children]
    while waiting:
        run = waiting.pop(0)
        if not run.run_id or run.run_id in known:
            continue
        known.add(run.run_id)
        wanted = Filter(workflow_id=run.workflow_id, run_id=run.run_id)
        async for one in room.search.latest(wanted, 1):
            found.append(one.story)
            waiting += [child.run for child in one.story.children]
    return found


async def _changes(room: Room, main: Story, own: set[str]) -> list[Story]:
    """Find runs that changed something on the service in the day before, or while it lasted."""
    if not main.service:
        return []
    wanted = Filter(service=main.service, since=main.started_at - _BEFORE, until=main.ended_at)
    return [
        one.story
        async for one in room.search.latest(wanted, _CHANGES)
        if one.story.targets and not one.story.dry_run and one.story.run.run_id not in own
    ]


async def _releases(room: Room, main: Story) -> list[Release]:
    """Read from the history what the story has only a line of."""
    if room.store is not None:
        record = await asyncio.to_thread(room.store.record, main.namespace, main.run.run_id)
        if record is not None:
            return releases(restore(record.skeleton, record.bodies), room.decoder)
    if room.client is None:
        return []
    try:
        fetched = await fetch(room.client, main.run.workflow_id, main.run.run_id)
    except RunNotFound:
        return []
    return releases(fetched.history, room.decoder)


# -- metrics ---------------------------------------------------------------------------------------------


def _metrics(settings: Settings, stories: list[Story]) -> tuple[list[Series], str]:
    exported = [
        (story, step) for story in stories for step in story.steps if step.activity == "evidence.export_metrics"
    ]
    if not exported:
        return [], "The run collected no metrics: the impact on customers has to be found out by hand."
    story, step = exported[-1]
    if step.outcome != "completed":
        return [], f"Metrics could not be collected: {step.failure or step.outcome}."
    if step.effect is not None and step.effect.dry_run:
        return [], "The run was in plan mode: it collected no metrics."
    try:
        return read_metrics(_document(settings, step), story.started_at), ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [], f"The metrics that the run collected can't be read: {error}."


def _document(settings: Settings, step: Step) -> bytes:
    """Read a stored object, and check that it is the one the run stored.

    Raises:
        OSError: it can't be read.
        ValueError: it isn't told where it is, it is somewhere else than evidence is kept, or it was changed.

    """
    kept = _KEPT.search(step.result)
    if kept is None:
        raise ValueError("the history doesn't say where they are")
    content = _content(settings, kept["uri"])
    if hashlib.sha256(content).hexdigest() != kept["sha256"]:
        raise ValueError(f"{kept['uri']} is not what the run stored (SHA-256 differs)")
    return content


def _content(settings: Settings, uri: str) -> bytes:
    """Read from where settings say that evidence is kept, and from nowhere else: the URI is the history's."""
    parts = urlsplit(uri)
    evidence = settings.evidence
    if parts.scheme == "file" and evidence.backend == "files":
        path = Path(unquote(parts.path)).resolve()
        if path.is_relative_to(settings.path(evidence.directory).resolve()):
            return path.read_bytes()
    if parts.scheme == "s3" and evidence.backend == "s3" and parts.netloc == evidence.bucket:
        return _object(settings, parts.netloc, unquote(parts.path).lstrip("/"))
    raise ValueError(f"{uri} is not where the settings' [evidence] is")


def _object(settings: Settings, bucket: str, key: str) -> bytes:
    import boto3  # noqa: PLC0415  half a second that other commands need not wait
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    evidence = settings.evidence
    try:
        s3 = boto3.Session(region_name=evidence.region).client("s3", endpoint_url=evidence.endpoint_url)
        return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except (BotoCoreError, ClientError) as error:
        raise OSError(f"S3 does not give {key} ({type(error).__name__})") from None
