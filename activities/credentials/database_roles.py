"""A database's login, of two roles that take turns (runbook 8.1 step 4).

A new password for the role in use would shut out whoever connects between its change and the restart. So the other
role gets one, and is tried; the Secret names it from then on; and the old role's ends when its sessions have gone.
"""

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from activities.common.effects import Change
from activities.common.errors import ActivityFailure, Misconfigured, NotFound, Refused, Unavailable
from activities.credentials.credential import Credential, RotateCredential, Seen, Switched
from activities.credentials.secret_values import KeptSecret, KeptSecrets, new_value
from activities.database.servers.servers import Databases, OnServer, failures
from activities.kubernetes.changing import Plan
from audit.text import counted
from libraries import psycopg
from libraries import sql as sql_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from activities.database.servers.servers import Connection

_DRIVER = re.compile(r"^(postgres(?:ql)?)(\+\w+)?$")
_PHASES = ["switch", "retire"]
_OF_A_SPARE = (NotFound, Misconfigured, Refused)
"""What a spare's Secret may have: it is not there yet, has another login, may not be written, or a restore holds it."""

_NAME = "runbooks rotation"

# From PostgreSQL 16 on two may have granted the same membership, and each says whether its rights come with it.
_RIGHTS = """
SELECT r.rolname AS role, r.rolcanlogin AS login, r.rolsuper AS super,
       ARRAY(SELECT m.roleid::regrole::text || CASE
                 WHEN bool_or(coalesce((to_jsonb(m) ->> 'inherit_option')::bool, r.rolinherit)) THEN ''
                 ELSE ' without its rights' END
             FROM pg_auth_members m WHERE m.member = r.oid GROUP BY m.roleid ORDER BY 1) AS member_of,
       (SELECT count(*) FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid
                                             AND d.deptype IN ('o', 'a')) AS own
FROM pg_roles r WHERE r.rolname = ANY(%s)
"""
_SESSIONS = """
SELECT coalesce(host(client_addr), 'local') AS at, application_name AS name, count(*) AS sessions
FROM pg_stat_activity WHERE usename = %s AND application_name <> %s GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""
_END = "SELECT count(pg_terminate_backend(pid)) AS ended FROM pg_stat_activity WHERE usename = %s"
_REPLAYED = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn AS done"
_REPLAYED_WITHIN, _LOOK_EVERY = 10.0, 0.2
"""Seconds; the first for all replicas. One that keeps behind on purpose is not waited for."""


class DatabaseRoles:
    """Rotates logins; raises what `KeptSecrets` and `Databases` raise."""

    def __init__(self, kept: KeptSecrets, databases: Databases) -> None:
        self._kept = kept
        self._databases = databases

    def look(self, of: Credential) -> Seen:
        """Tell whether it can be rotated: both roles are there, with the same rights, and one of them rests."""
        seen = Seen(name=of.name, phases=_PHASES)
        try:
            active, resting = self._turns(of, self._kept.read(of.namespace, of.policy.secret))
            with self._databases.on_primary(of.policy.database) as connection:
                seen.problems += _differences(connection, active, resting)
                if used := _sessions(connection, resting):
                    seen.problems.append(f"{resting} is in use: {'; '.join(used)}")
            for copy in of.copies:
                self._kept.read(of.namespace, copy)
            seen.told += [
                f"secret/{spare} keeps the old login: {why}" for spare in of.spares if (why := self._unfit(of, spare))
            ]
        except ActivityFailure as error:
            seen.problems.append(error.message)
        return seen

    def switch(self, request: RotateCredential) -> Switched:
        """Give the resting role a new password, try it, and name it in the Secrets; the service's own comes last.

        Raises:
            Refused: the resting role is in use, or its rights are others; or another run holds the Secret.
            Misconfigured: the Secret has no URL with one of the two roles; the new login doesn't work.

        """
        policy, effect = request.policy, request.effect
        found = self._kept.read(request.namespace, policy.secret)
        found.free_for(effect)
        active, resting = self._turns(request, found)
        password = new_value()

        def plan(now: KeptSecret) -> Plan:
            if (user := _user(now, policy.key)) != active:
                raise Refused(f"secret/{policy.secret} names {user} now, no longer {active}: somebody has changed it")
            data: dict[str, str | None] = {policy.key: _with_login(now.value(policy.key), resting, password)}
            return Plan(active, resting, lambda done: now.patch(effect, done, data, marked=True))

        def prepare(now: KeptSecret) -> Plan:
            self._give_password(request, active, resting, password)
            if not effect.dry_run:
                self._try(policy.database, _with_login(now.value(policy.key), resting, password))
            for copy in request.copies:
                self._copy(request, copy, resting, password)
            for spare in request.spares:
                try:
                    self._copy(request, spare, resting, password)
                except _OF_A_SPARE as error:
                    left.append(f"secret/{spare} keeps the old login: {error.message}")
            return plan(now)

        left = list[str]()
        done = self._kept.change(request.namespace, policy.secret, effect, prepare)
        note = "; ".join([*([done.note] if done.note else []), *dict.fromkeys(left)])
        return Switched(**done.model_dump(exclude={"note"}), note=note, retired=done.before)

    def sessions(self, of: Credential, role: str) -> list[str]:
        """Name who is still connected by a role, on any server: address, application, how often; and who can't tell."""
        with self._databases.on_primary(of.policy.database) as connection:
            used = _sessions(connection, role)
        for name in of.servers:
            try:
                with self._replica(of, name) as connection:
                    found = _sessions(connection, role) if connection is not None else []
            except (Unavailable, Misconfigured) as error:
                used.append(f"who is connected to {name} can't be read: {error.message}")
            else:
                used += [f"{one}, on {name}" for one in found]
        return used

    def retire(self, request: RotateCredential) -> Change:
        """Let the old role log in no more, and end its sessions on every server.

        Raises:
            Refused: the Secret names it again.

        """
        policy, effect, old = request.policy, request.effect, request.retired

        def plan(found: KeptSecret) -> Plan:
            if not effect.dry_run and _user(found, policy.key) == old:
                raise Refused(f"secret/{policy.secret} names {old} again: it can't be retired")
            ended, left = 0, list[str]()
            with (
                self._databases.on_primary(policy.database) as connection,
                connection.transaction(force_rollback=effect.dry_run),
            ):
                connection.execute(sql_of.SQL("ALTER ROLE {} PASSWORD NULL").format(sql_of.Identifier(old)))
            if not effect.dry_run:
                # Only now: whoever is thrown out can't come back.
                with self._databases.on_primary(policy.database) as connection:
                    ended = _ended(connection, old)
                    written = (connection.execute("SELECT pg_current_wal_insert_lsn()::text AS at").fetchone() or {})[
                        "at"
                    ]
                until = time.monotonic() + _REPLAYED_WITHIN
                for name in request.servers:
                    there, why = self._end_on(request, name, written, until)
                    ended += there
                    left += [f"{name}: {why}"] if why else []
            after = f"{old} has no password any more; {counted(ended, 'session')} of it ended"
            told = f"; NOT SURE ON {'; '.join(left)}" if left else ""
            return Plan("", f"{after}{told}", lambda done: found.patch(effect, done, {}, marked=False))

        return self._kept.change(request.namespace, policy.secret, effect, plan)

    def _unfit(self, of: Credential, spare: str) -> str:
        """Say why a spare's Secret won't get the new login; empty where it will. That is no reason not to rotate."""
        try:
            user = _user(self._kept.read(of.namespace, spare), of.policy.key)
        except _OF_A_SPARE as error:
            return error.message
        return "" if user in of.policy.roles else f"it names {user or 'nobody'}, which is none of the two roles"

    def _end_on(self, request: RotateCredential, name: str, written: str, until: float) -> tuple[int, str]:
        """End the old role's sessions on a replica, once that has its new state; gives how many, and what is left."""
        try:
            with self._replica(request, name) as connection:
                if connection is None:
                    return 0, ""
                while not (replayed := _replayed(connection, written)) and time.monotonic() < until:
                    time.sleep(_LOOK_EVERY)
                ended = _ended(connection, request.retired)
        except (Unavailable, Misconfigured) as error:
            return 0, f"its sessions there could not be ended, {error.message}"
        late = "it has not replayed that yet, and lets the old password in until it has"
        return ended, "" if replayed else late

    @contextmanager
    def _replica(self, of: Credential, name: str) -> "Iterator[Connection | None]":
        """Connect to a server as its administrator; None where it is the primary, which is asked by itself."""
        with self._databases.connect(OnServer(database=of.policy.database, server=name)) as connection:
            row = connection.execute("SELECT pg_is_in_recovery() AS follows").fetchone() or {"follows": False}
            yield connection if row["follows"] else None

    def _turns(self, of: Credential, found: KeptSecret) -> tuple[str, str]:
        """Give the role that the Secret names, and the other one."""
        user, (one, other) = _user(found, of.policy.key), of.policy.roles
        if user not in {one, other}:
            raise Misconfigured(f"secret/{found.name} names {user or 'nobody'}, and neither {one} nor {other}")
        return (user, other if user == one else one)

    def _give_password(self, request: RotateCredential, active: str, resting: str, password: str) -> None:
        with (
            self._databases.on_primary(request.policy.database) as connection,
            connection.transaction(force_rollback=request.effect.dry_run),
        ):
            wrong = _differences(connection, active, resting)
            if used := _sessions(connection, resting):
                wrong.append(f"{resting} is in use: {'; '.join(used)}")
            if wrong:
                raise Refused("; ".join(wrong))
            # Hashed here: a statement may be logged by the server.
            hashed = connection.pgconn.encrypt_password(password.encode(), resting.encode(), b"scram-sha-256")
            command = sql_of.SQL("ALTER ROLE {} PASSWORD {}")
            connection.execute(command.format(sql_of.Identifier(resting), sql_of.Literal(hashed.decode())))

    def _try(self, database: str, url: str) -> None:
        with (
            failures(f"of {database}, by the new login"),
            psycopg.connect(_plain(url), connect_timeout=3, application_name=_NAME) as connection,
        ):
            connection.execute("SELECT 1")

    def _copy(self, request: RotateCredential, name: str, role: str, password: str) -> None:
        """Write the login into a server's own Secret, whose host stays; also again, with a later try's password."""
        key = request.policy.key
        own = request.effect.model_copy(update={"key": f"{request.effect.key}/{name}"})

        def plan(found: KeptSecret) -> Plan:
            if (user := _user(found, key)) not in request.policy.roles:
                raise Refused(f"secret/{name} names {user or 'nobody'}, which is none of the two roles")
            url = _with_login(found.value(key), role, password)
            if found.value(key) == url:
                return Plan("", "the new login already")
            # No note: what an earlier try has written here is of another password.
            return Plan("", "the new login", lambda _: found.patch(own, None, {key: url}, marked=False))

        self._kept.change(request.namespace, name, own, plan)


def _sessions(connection: "Connection", role: str) -> list[str]:
    rows = connection.execute(_SESSIONS, (role, _NAME)).fetchall()
    return [f"{row['sessions']} × {row['name'] or 'no name'} from {row['at']}" for row in rows]


def _ended(connection: "Connection", role: str) -> int:
    return int((connection.execute(_END, (role,)).fetchone() or {"ended": 0})["ended"])


def _replayed(connection: "Connection", written: str) -> bool:
    return bool((connection.execute(_REPLAYED, (written,)).fetchone() or {"done": False})["done"])


def _differences(connection: "Connection", active: str, resting: str) -> list[str]:
    """Tell why the resting role can't stand in for the active one."""
    rows = {row["role"]: row for row in connection.execute(_RIGHTS, ([active, resting],)).fetchall()}
    missing = [role for role in (active, resting) if role not in rows]
    if missing:
        return [f"there is no role {' and no role '.join(missing)}"]
    wrong = [] if rows[resting]["login"] else [f"{resting} may not log in"]
    wrong += [f"{role} is a superuser" for role in (active, resting) if rows[role]["super"]]
    if rows[active]["member_of"] != rows[resting]["member_of"]:
        wrong.append(f"{active} and {resting} are members of other roles")
    wrong += [
        f"{role} has {counted(row['own'], 'right or object', 'rights or objects')} of its own: give them to a role "
        "that both are members of"
        for role, row in sorted(rows.items())
        if row["own"]
    ]
    return wrong


def _user(found: KeptSecret, key: str) -> str:
    return urlsplit(found.value(key).strip()).username or ""


def _with_login(url: str, role: str, password: str) -> str:
    """Give the URL with another login; all else of it stays.

    Raises:
        Misconfigured: it is no URL of PostgreSQL.

    """
    parts = urlsplit(url.strip())
    if not _DRIVER.match(parts.scheme) or not parts.netloc:
        raise Misconfigured("the Secret has no URL of PostgreSQL (postgresql://…)")
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(role, safe='')}:{quote(password, safe='')}@{host}"))


def _plain(url: str) -> str:
    """Give the URL as libpq reads it: without a driver's name, as SQLAlchemy has it."""
    scheme, _, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}://{rest}"
