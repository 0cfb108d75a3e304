"""A process of its own that runs one attempt of `backups.restore`, killed in the middle: when a file is there.

It kills itself. Whoever did so from outside might come too late on a busy machine.

Arguments: the settings of the database as JSON, the records' URL, the request as JSON, and the file.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from temporalio.testing import ActivityEnvironment

from activities.database.backups.backups import Backups
from activities.database.backups.restoring import RestoreBackup
from records_schema.pool import connect_pool
from sandbox.service_database import NAME
from workers.databases import databases
from workers.settings import Settings


def kill_at(sign: Path) -> None:
    while not sign.exists():
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)


def main(settings: str, records: str, request: str, sign: str) -> None:
    threading.Thread(target=kill_at, args=[Path(sign)], daemon=True).start()
    with connect_pool(records) as pool:
        made = databases(Settings(databases={NAME: json.loads(settings)}), lambda: None)
        backups = Backups(made.databases, made.hosts, made.backups, pool)
        ActivityEnvironment().run(backups.restore, RestoreBackup.model_validate_json(request))


if __name__ == "__main__":
    main(*sys.argv[1:])
