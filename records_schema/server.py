"""Reaching PostgreSQL, and saying why it can't be reached without saying anything secret.

libpq's own messages may repeat parts of a badly quoted URL, so only phrases that we know are passed on.
"""

import re
import time
from typing import Any

from pydantic import SecretStr

from libraries import psycopg

_HOPELESS = (
    "password authentication failed",
    "no pg_hba.conf entry",
    "no password supplied",
    'FATAL:  role "',
)
_KNOWN = (
    *_HOPELESS[:3],
    "Connection refused",
    "connection timeout expired",
    "timeout expired",
    "could not translate host name",
    "failed to resolve host",
    "the database system is starting up",
    "the database system is shutting down",
    "the database system is in recovery mode",
    "too many clients already",
    "server closed the connection unexpectedly",
    "No such file or directory",
    "Network is unreachable",
    "No route to host",
    "does not exist",
    "SSL",
)

OLDEST = 130_000
"""The oldest server version that is known, as libpq gives versions."""

_PLACE = (("host", "localhost"), ("port", 5432), ("dbname", ""))


class DatabaseError(Exception):
    """The database cannot be used as asked; the message is for the operator and carries no credentials."""


def conninfo(url: SecretStr | str) -> dict[str, Any]:
    """Take a `postgresql://` URL (or libpq's key=value form) apart.

    Raises:
        DatabaseError: it is neither; says so without repeating it.

    """
    text = url.get_secret_value() if isinstance(url, SecretStr) else url
    try:
        return psycopg.conninfo.conninfo_to_dict(text)
    except psycopg.Error:
        raise DatabaseError(
            "the records' URL is not a PostgreSQL URL: expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        ) from None


def connect(url: SecretStr | str, *, wait: float) -> "psycopg.Connection":
    """Connect in autocommit mode, waiting up to `wait` seconds for the server to accept connections.

    Raises:
        DatabaseError: it did not within that time, it refuses these credentials, which no waiting helps, or it is
            older than PostgreSQL 13.

    """
    parts = conninfo(url)
    parts.setdefault("connect_timeout", 2)
    parts.setdefault("application_name", "runbooks-migrate")
    deadline = time.monotonic() + wait
    while True:
        try:
            connection = psycopg.connect(**parts, autocommit=True)
        except psycopg.Error as error:
            hopeless = any(phrase in str(error) for phrase in _HOPELESS)
            if hopeless or time.monotonic() >= deadline:
                patience = "" if hopeless else f" within {wait:g} s"
                raise DatabaseError(
                    f"PostgreSQL at {where(parts)} accepted no connection{patience}: {reason(error)}"
                ) from None
            time.sleep(0.1)
        else:
            if (found := connection.info.server_version) < OLDEST:
                connection.close()
                raise DatabaseError(
                    f"PostgreSQL at {where(parts)} is version {version(found)}: 13 is the oldest that is known"
                )
            return connection


def version(number: int) -> str:
    """Write a version as people do: 130016 is 13.16."""
    return f"{number // 10_000}.{number % 10_000}"


def where(parts: dict[str, Any]) -> str:
    """Name the server and database of a connection; nothing of it where a badly quoted password may have got in."""
    host, port, name = (str(parts.get(key, default)) for key, default in _PLACE)
    if not (re.fullmatch(r"[\w.:,/-]+", host) and re.fullmatch(r"[\d,]+", port) and re.fullmatch(r"[\w-]*", name)):
        return "the given URL"
    return f"{host}:{port}/{name}"


def reason(error: "psycopg.Error") -> str:
    """Say why a connection failed, in PostgreSQL's words where they are known to be harmless."""
    text = str(error)
    return next((phrase for phrase in _KNOWN if phrase in text), type(error).__name__)
