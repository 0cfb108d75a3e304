"""Nobody writes to a database, kept by the database itself: its CONNECT is a lease (runbook 7.3 step 1).

To end sessions stops nobody who comes again: a cron job, a second service, a person's psql. So CONNECT is taken from
everybody but superusers, ourselves, and those who are to stay, and then sessions are ended until none is left.

What there was lies in the database itself, as a setting of the database (`runbooks.writers`), committed together with
the change: whoever finds it can give back what there was. A copy or a restore of a time at which writers were stopped
brings it along, and is given back by the same. The setting of a run that was terminated expires: then the next run
that stops or lets in writers gives it back. Once given back, it only says which stop was the last, so that an attempt
that comes late doesn't stop them anew.
"""

from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import Refused, Unavailable
from activities.common.heartbeat import Progress, resume, turns
from activities.database.servers.servers import Connection, Databases, OnServer
from audit.text import counted, noun
from libraries import logger, sql

_log = logger(__name__)
_EARLIER = "done by an earlier attempt"
_SETTING = ("runbooks", "writers")
_LOOK_EVERY = timedelta(milliseconds=250)
_ENDED_WITHIN = timedelta(seconds=20)
_LOOKS_WITHOUT = 4
"""A session that was let in right before CONNECT was taken shows a moment later."""
_GRACE = timedelta(minutes=10)
"""How long a run may take to give back, before another one does it."""
_PUBLIC = 0

_LOCK = "SELECT pg_advisory_xact_lock(7221170403021)"
"""Of two that change it at once, one waits; the number is ours."""

_MARK = """
SELECT substr(c.set_config, length('runbooks.writers=') + 1) AS mark
FROM pg_db_role_setting s, unnest(s.setconfig) AS c (set_config), pg_database d
WHERE s.setdatabase = d.oid AND d.datname = current_database() AND s.setrole = 0
  AND c.set_config LIKE 'runbooks.writers=%'
"""

_GRANTS = """
SELECT e.grantee::bigint AS role, bool_or(e.is_grantable) AS grantable
FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) e
WHERE d.datname = current_database() AND e.privilege_type = 'CONNECT' GROUP BY e.grantee
"""

_ROLES = """
SELECT r.oid::bigint AS role, r.rolname AS name, r.rolsuper AS superuser,
       r.rolname IN (current_user, session_user) AS ours, r.rolreplication AS replication,
       has_database_privilege(r.oid, current_database(), 'CONNECT') AS connects
FROM pg_roles r WHERE r.rolcanlogin ORDER BY r.rolname
"""

_WHO_LOST_IT = """
FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
WHERE a.datname = current_database() AND a.backend_type IS DISTINCT FROM 'walsender' AND a.pid <> pg_backend_pid()
  AND NOT has_database_privilege(r.oid, a.datid, 'CONNECT')
"""

_SUBSCRIPTIONS = """
SELECT s.subname AS name FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
WHERE s.subenabled AND d.datname = current_database() ORDER BY s.subname
"""


class _Grant(BaseModel):
    """CONNECT of one role, by its OID, which its name may change under; 0 is PUBLIC."""

    model_config = ConfigDict(frozen=True)

    role: int
    grantable: bool = False


class _Mark(BaseModel):
    """What the setting holds."""

    model_config = ConfigDict(frozen=True)

    key: str
    """Of the effect that stopped them."""
    run: str = ""
    until: AwareDatetime | None = None
    before: tuple[_Grant, ...] = ()
    given: tuple[int, ...] = ()
    """Whom we have given CONNECT, so that they keep it."""
    ended: bool = False
    """It was given back: the rest is empty."""

    @property
    def alive(self) -> bool:
        """Whether its run may still count on it."""
        return not self.ended and self.until is not None and self.until + _GRACE > datetime.now(UTC)


class StopWriters(OnServer):
    """Take CONNECT from whoever may write, and end their sessions."""

    roles: tuple[str, ...] = Field(
        default=(), description="Of them alone; all but superusers and replication where none is named."
    )
    readers: tuple[str, ...] = Field(default=(), description="Who stay, because they only read.")
    until: datetime = Field(description="After that, and ten minutes, the next run gives it back.")
    leave_within: timedelta = Field(description="Before that, sessions end by themselves.")
    effect: Effect


class WritersStopped(Change):
    """Who is kept out, and who is not."""

    ended: int = Field(default=0, description="Sessions that had to be ended.")
    may_write: list[str] = Field(default_factory=list, description="Who could write all the same, in words.")
    refused: str = Field(default="", description="Why nobody was stopped: another run has stopped them.")


class LetWritersIn(OnServer):
    """Give CONNECT back as it was before."""

    anybodys: bool = Field(
        default=False, description="Also what another run took: on a copy, of whose run nothing is left."
    )
    effect: Effect


class AreWritersStopped(OnServer):
    """Whether nobody has let them in again."""

    roles: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    run: str


class StillStopped(BaseModel):
    """What was seen."""

    let_in: list[str] = Field(description="Roles that may connect again.")
    sessions: int = Field(description="Of roles that may not.")
    by_this_run: bool

    def __str__(self) -> str:
        if not self.by_this_run:
            return "writers are not stopped by this run any more"
        if self.let_in:
            return f"somebody has let {', '.join(self.let_in)} in again"
        return "nobody writes" if not self.sessions else f"{counted(self.sessions, 'session')} not yet ended"


class Writers:
    """Stops and lets in the writers of databases; raises as `Databases.connect` does."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    @activity.defn(name="writers.stop", no_thread_cancel_exception=True)
    @effect
    def stop(self, request: StopWriters) -> WritersStopped:
        """Take CONNECT away, wait for the sessions' end, and bring it about when the time is up.

        Raises:
            Refused: what this stopped was given back already; this attempt comes late.
            Unavailable: sessions are still there, though they were told to end.

        """
        target = f"database/{request.database}"
        with self._databases.connect(request) as connection, connection.transaction():
            connection.execute(_LOCK)
            mark, roles = _mark(connection), connection.execute(_ROLES).fetchall()
            if mark and mark.ended and mark.key == request.effect.key:
                raise Refused("writers were stopped by this step and let in again: it is over")
            if mark and mark.alive and mark.run != request.effect.workflow_id:
                why = f"{mark.run} has stopped the writers of {target} until {mark.until:%Y-%m-%d %H:%M:%S %Z}"
                return WritersStopped(target=target, after="not stopped", applied=False, refused=why)
            out = [row["name"] for row in roles if row["connects"] and not _stays(row, request)]
            if request.effect.dry_run:
                may = _may_write(connection, request)
                after = f"closed to {', '.join(out) or 'nobody'}"
                return WritersStopped(target=target, after=after, applied=False, may_write=may)
            applied = mark is None or mark.key != request.effect.key
            if applied:
                _close(connection, request, mark)
        ended = self._end_sessions(request)
        with self._databases.connect(request) as connection:
            may = _may_write(connection, request)
        _log.info("writers stopped", database=request.database, ended=len(ended), effect=request.effect.key)
        note = [*([] if applied else [_EARLIER]), *([f"{len(ended)} had to be ended"] if ended else [])]
        return WritersStopped(
            target=target,
            after="closed to writers, no sessions of theirs",
            applied=applied,
            ended=len(ended),
            may_write=may,
            note="; ".join(note),
        )

    @activity.defn(name="writers.look")
    def look(self, request: AreWritersStopped) -> StillStopped:
        """Tell whether they are still stopped: a person may have let somebody in again."""
        with self._databases.connect(request) as connection:
            mark = _mark(connection)
            rows = connection.execute(_ROLES).fetchall()
            return StillStopped(
                let_in=[r["name"] for r in rows if r["connects"] and not r["superuser"] and not _stays(r, request)],
                sessions=_count(connection),
                by_this_run=bool(mark and not mark.ended and mark.run == request.run),
            )

    @activity.defn(name="writers.let_in")
    @effect
    def let_in(self, request: LetWritersIn) -> Change:
        """Give back what was taken. Whom a person has let in meanwhile stays in; not applied where nothing is taken."""
        target = f"database/{request.database}"
        with self._databases.connect(request) as connection, connection.transaction():
            connection.execute(_LOCK)
            mark = _mark(connection)
            if mark is None or mark.ended:
                return Change(target=target, before="open", after="open to writers", applied=False)
            if mark.alive and mark.run != request.effect.workflow_id and not request.anybodys:
                return Change(target=target, before=f"closed by {mark.run}", after="left to that run", applied=False)
            if not request.effect.dry_run:
                _open(connection, mark)
        note = "" if mark.run == request.effect.workflow_id else f"what {mark.run} had left closed"
        applied = not request.effect.dry_run
        return Change(target=target, before="closed", after="open to writers", applied=applied, note=note)

    def _end_sessions(self, request: StopWriters) -> set[int]:
        ended, left, without = set[int](), 0, 0
        for elapsed in turns(resume(Progress), within=request.leave_within + _ENDED_WITHIN, every=_LOOK_EVERY):
            with self._databases.connect(request) as connection:
                left = _count(connection)
                without = 0 if left else without + 1
                if without == _LOOKS_WITHOUT:
                    return ended
                if left and elapsed >= request.leave_within.total_seconds():
                    told = connection.execute(f"SELECT a.pid, pg_terminate_backend(a.pid) AS told {_WHO_LOST_IT}")
                    ended |= {row["pid"] for row in told if row["told"]}
        if not left:
            return ended
        still = counted(left, "session is", "sessions are")
        raise Unavailable(f"{still} still at {request.database}/{request.server}: end {noun(left, 'it', 'them')}")


def _close(connection: Connection, request: StopWriters, expired: _Mark | None) -> None:
    """Take CONNECT from all that have it but those who stay; note what there was, in the same transaction."""
    if expired is not None and not expired.ended:  # of a run that was terminated, or of an earlier step of ours
        _open(connection, expired)
    roles = connection.execute(_ROLES).fetchall()
    before = tuple(_Grant.model_validate(row) for row in connection.execute(_GRANTS))
    stay = {r["role"] for r in roles if r["connects"] and not r["superuser"] and _stays(r, request)}
    given = tuple(sorted(stay - {grant.role for grant in before}))
    for role in given:
        _grant(connection, _Grant(role=role))
    for grant in before:
        if grant.role not in stay:
            _revoke(connection, grant.role)
    until = request.until.astimezone(UTC)
    mark = _Mark(key=request.effect.key, run=request.effect.workflow_id, until=until, before=before, given=given)
    _note(connection, mark)


def _open(connection: Connection, mark: _Mark) -> None:
    have = {row["role"] for row in connection.execute(_GRANTS)}
    for grant in mark.before:
        if grant.role not in have:
            _grant(connection, grant)
    for role in mark.given:
        if role in have:
            _revoke(connection, role)
    _note(connection, _Mark(key=mark.key, ended=True))


def _mark(connection: Connection) -> _Mark | None:
    row = connection.execute(_MARK).fetchone()
    if row is None:
        return None
    try:
        return _Mark.model_validate_json(row["mark"])
    except ValidationError:
        raise Refused(
            "the database's setting runbooks.writers was changed by hand: nobody can tell what was before"
        ) from None


def _note(connection: Connection, mark: _Mark) -> None:
    name = sql.Identifier(connection.info.dbname)
    note = mark.model_dump_json(exclude_defaults=True)
    connection.execute(
        sql.SQL("ALTER DATABASE {} SET {} = {}").format(name, sql.Identifier(*_SETTING), sql.Literal(note))
    )


def _grant(connection: Connection, grant: _Grant) -> None:
    option = sql.SQL("WITH GRANT OPTION" if grant.grantable else "")
    if role := _role(connection, grant.role):
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {} {}").format(name, role, option))


def _revoke(connection: Connection, oid: int) -> None:
    if role := _role(connection, oid):
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM {} CASCADE").format(name, role))


def _role(connection: Connection, oid: int) -> "sql.Composable | None":
    """Name a role; None where it was dropped meanwhile."""
    if oid == _PUBLIC:
        return sql.SQL("PUBLIC")
    row = connection.execute("SELECT rolname AS name FROM pg_roles WHERE oid = %s", (oid,)).fetchone()
    return sql.Identifier(row["name"]) if row else None


def _stays(role: "dict[str, object]", request: StopWriters | AreWritersStopped) -> bool:
    """Tell whether a role keeps its CONNECT. A superuser needs none."""
    if role["ours"] or role["superuser"] or role["name"] in request.readers:
        return True
    return role["name"] not in request.roles if request.roles else bool(role["replication"])


def _may_write(connection: Connection, request: StopWriters) -> list[str]:
    """Say who could write all the same."""
    rows = connection.execute(_ROLES).fetchall()
    others = [r for r in rows if r["connects"] and not r["ours"] and r["name"] not in request.readers]
    superusers = [r["name"] for r in others if r["superuser"]]
    stay = [r["name"] for r in others if not r["superuser"] and _stays(r, request)]
    kept = [] if request.effect.dry_run else [r["name"] for r in others if not _stays(r, request)]
    subscriptions = [row["name"] for row in connection.execute(_SUBSCRIPTIONS)]
    return [
        *([f"{noun(len(superusers), 'superuser')} {', '.join(superusers)}"] if superusers else []),
        *([f"{', '.join(stay)}, whom settings let be"] if stay else []),
        *([f"{', '.join(kept)}, through a role that stays"] if kept else []),
        *([f"{noun(len(subscriptions), 'subscription')} {', '.join(subscriptions)}"] if subscriptions else []),
    ]


def _count(connection: Connection) -> int:
    row = connection.execute(f"SELECT count(*) AS sessions {_WHO_LOST_IT}").fetchone()
    return 0 if row is None else int(row["sessions"])
