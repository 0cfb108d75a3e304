"""A secret of AWS Secrets Manager (runbook 8.1 step 4).

Its versions are found by their ID, which is the ClientRequestToken that the run has pinned: however often a call is
made, there is one new version. Where the secret has a rotation of its own (a Lambda, or the service that owns it), that
does the work and is waited for: `RotateSecret` only asks for it.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from activities.common.aws import code, failures
from activities.common.effects import Change
from activities.common.errors import ActivityFailure, Conflict, Misconfigured, Refused
from activities.common.heartbeat import Progress, resume, turns
from activities.credentials.credential import Credential, RotateCredential, Seen, Switched
from activities.credentials.secret_values import new_value
from audit.text import length
from libraries import aws_errors

_SYSTEM = "AWS Secrets Manager"
_CURRENT, _PENDING, _PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"
_PHASES = ["switch", "retire"]

ROTATES_WITHIN = timedelta(minutes=5)
"""For a rotation of the secret's own."""

_LEFT_AFTER = timedelta(minutes=15)
"""A younger AWSPENDING may be a rotation that is under way; a Lambda has as long as that at most for a step."""

_LOOK_EVERY = timedelta(seconds=1)


class SecretsManager:
    """Rotates its secrets. Raises what `activities.common.aws.failures` says."""

    def __init__(self, client: Callable[[], Any]) -> None:
        self._client = client

    def look(self, of: Credential) -> Seen:
        """Tell whether it can be rotated."""
        seen = Seen(name=of.name, phases=_PHASES)
        try:
            described = self._described(of.policy.secret)
            if "DeletedDate" in described:
                seen.problems.append(f"{of.policy.secret} is being deleted")
            if not _at(described, _CURRENT):
                seen.problems.append(f"{of.policy.secret} has no {_CURRENT}")
            if left := _left(described):
                seen.told.append(f"{of.name}: {_PENDING} is left at version {left} from another rotation")
            if _by_itself(described):
                seen.told.append(f"{of.name}: AWS rotates it ({described.get('RotationLambdaARN') or 'managed'})")
            elif not seen.problems:
                self._next_value(of)
        except ActivityFailure as error:
            seen.problems.append(error.message)
        return seen

    def switch(self, request: RotateCredential) -> Switched:
        """Make a new version the current one; the version before stays readable as AWSPREVIOUS.

        Raises:
            Conflict: another rotation is under way; another version became current meanwhile.
            Refused: the secret's own rotation did not end in time.

        """
        name, token = request.policy.secret, request.token
        described = self._described(name)
        before, target = _at(described, _CURRENT), f"secret/{name}"
        if before == token:
            return Switched(
                target=target,
                after=f"version {token}",
                applied=False,
                note="done by an earlier attempt",
                retired=_at(described, _PREVIOUS),
            )
        left = _left(described, but=token)
        if request.effect.dry_run:
            note = f"{_PENDING} would be taken from version {left}" if left else "plan only: described, not changed"
            return Switched(
                target=target,
                before=f"version {before}",
                after="a new version",
                applied=False,
                note=note,
                retired=before,
            )
        if left:
            self._clear(name, left)
        if _by_itself(described):
            self._rotate(name, token, described)
        else:
            self._put(request, described)
            self._move(name, before, token)
        note = f"{_PENDING} was left at version {left}, and was taken from it" if left else ""
        return Switched(
            target=target, before=f"version {before}", after=f"version {token}", applied=True, note=note, retired=before
        )

    def retire(self, request: RotateCredential) -> Change:
        """Take AWSPREVIOUS from the old version: nobody can read it by a name any more, and AWS deletes it."""
        name, old, target = request.policy.secret, request.retired, f"secret/{request.policy.secret}"
        described = self._described(name)
        if not old or old != _at(described, _PREVIOUS):
            return Change(target=target, after="the old version is not readable", applied=False)
        change = Change(target=target, before=f"version {old} readable", after="no more", applied=False)
        if request.effect.dry_run:
            return change
        self._stage(SecretId=name, VersionStage=_PREVIOUS, RemoveFromVersionId=old)
        return change.model_copy(update={"applied": True})

    def _described(self, name: str) -> dict[str, Any]:
        with failures(_SYSTEM):
            described: dict[str, Any] = self._client().describe_secret(SecretId=name)
        return described

    def _clear(self, name: str, left: str) -> None:
        """Take AWSPENDING from what an earlier rotation has left: with it, AWS refuses another rotation.

        Raises:
            Conflict: that rotation may be under way.

        """
        made = self._made(name, left)
        if made is not None and datetime.now(UTC) - made < _LEFT_AFTER:
            raise Conflict(f"{name}: another rotation began at {made:%H:%M:%S %Z}, and may be under way")
        self._stage(SecretId=name, VersionStage=_PENDING, RemoveFromVersionId=left)

    def _made(self, name: str, version: str) -> datetime | None:
        """Tell when a version was made; there may be more of them than one answer has."""
        more: dict[str, str] = {}
        while True:
            with failures(_SYSTEM):
                answer = self._client().list_secret_version_ids(SecretId=name, IncludeDeprecated=True, **more)
            for each in answer["Versions"]:
                if each["VersionId"] == version:
                    made: datetime | None = each.get("CreatedDate")
                    return made
            if "NextToken" not in answer:
                return None
            more = {"NextToken": answer["NextToken"]}

    def _put(self, request: RotateCredential, described: dict[str, Any]) -> None:
        """Keep the new version, not yet in use; one that an earlier attempt has kept counts."""
        if request.token in described.get("VersionIdsToStages", {}):
            return
        with failures(_SYSTEM):
            self._client().put_secret_value(
                SecretId=request.policy.secret,
                ClientRequestToken=request.token,
                SecretString=self._next_value(request),
                VersionStages=[_PENDING],
            )

    def _move(self, name: str, before: str, token: str) -> None:
        self._stage(SecretId=name, VersionStage=_CURRENT, RemoveFromVersionId=before, MoveToVersionId=token)
        if _PENDING in self._described(name).get("VersionIdsToStages", {}).get(token, []):
            self._stage(SecretId=name, VersionStage=_PENDING, RemoveFromVersionId=token)

    def _stage(self, **what: str) -> None:
        """Move a label.

        Raises:
            Conflict: it is not where it was, so that AWS takes the call for a wrong one.

        """
        with failures(_SYSTEM):
            try:
                self._client().update_secret_version_stage(**what)
            except aws_errors.ClientError as error:
                if code(error) != "InvalidParameterException":
                    raise
                raise Conflict(f"{what['SecretId']}: {what['VersionStage']} was moved by somebody else") from None

    def _rotate(self, name: str, token: str, described: dict[str, Any]) -> None:
        """Ask for the secret's own rotation, and wait for its end.

        Raises:
            Refused: it did not come to its end in time.

        """
        if token not in described.get("VersionIdsToStages", {}):
            with failures(_SYSTEM):
                self._client().rotate_secret(SecretId=name, ClientRequestToken=token, RotateImmediately=True)
        for _ in turns(resume(Progress), within=ROTATES_WITHIN, every=_LOOK_EVERY):
            if _at(self._described(name), _CURRENT) == token:
                return
        raise Refused(f"{name}: its rotation has not ended within {length(ROTATES_WITHIN)}: look at its Lambda's log")

    def _next_value(self, of: Credential) -> str:
        """Make the new text, in the form of the old one.

        Raises:
            Misconfigured: it is not what settings say.

        """
        name, key = of.policy.secret, of.policy.key
        with failures(_SYSTEM):
            text = self._client().get_secret_value(SecretId=name, VersionStage=_CURRENT).get("SecretString")
        if text is None:
            raise Misconfigured(f"{name} holds bytes and no text")
        if not key:
            return new_value()
        try:
            fields = json.loads(text)
        except ValueError:
            fields = None
        if not isinstance(fields, dict) or not isinstance(fields.get(key), str):
            raise Misconfigured(f"{name} has no text under {key!r} in a JSON object")
        return json.dumps({**fields, key: new_value()})


def _by_itself(described: dict[str, Any]) -> bool:
    return bool(described.get("RotationLambdaARN") or described.get("OwningService"))


def _at(described: dict[str, Any], stage: str) -> str:
    """Give the version that has a label; empty where none has it."""
    stages: dict[str, list[str]] = described.get("VersionIdsToStages") or {}
    return next((version for version, labels in stages.items() if stage in labels), "")


def _left(described: dict[str, Any], *, but: str = "") -> str:
    """Give the version that AWSPENDING was left at; it may stay at the current one."""
    pending = _at(described, _PENDING)
    return "" if pending in {_at(described, _CURRENT), but} else pending
