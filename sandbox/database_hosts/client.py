"""Asks the database servers' machines for something. Imports little: every command is a process of its own."""

import json
from multiprocessing.connection import Client
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.database_hosts.plan import Plan

LOOPBACK = "127.0.0.1"


def ask(plan: "Plan", verb: str, server: str, source: str | None = None) -> tuple[bool, str]:
    """Have something done, and wait until it is; gives whether it is, and a sentence.

    Whoever asks may die meanwhile: it is done all the same, and asking again waits for it.

    Raises:
        OSError, EOFError: the machines don't answer, or died over it.

    """
    with Client((LOOPBACK, plan.port), authkey=bytes.fromhex(plan.key)) as line:
        line.send_bytes(json.dumps({"verb": verb, "server": server, "source": source}).encode())
        answer = json.loads(line.recv_bytes())
    return answer["done"], answer["said"]
