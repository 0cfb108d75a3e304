"""A process of its own that runs one attempt of `backups.restore`, to be killed in the middle.

Arguments: the settings of the database, the records' URL, and the request, the first and last as JSON.
"""

import json
import sys

from temporalio.testing import ActivityEnvironment

from activities.database.backups.backups import Backups
from activities.database.backups.restoring import RestoreBackup
from records_schema.pool import connect_pool
from sandbox.service_database import NAME
from workers.databases import databases
from workers.settings import Settings


def main(settings: str, records: str, request: str) -> None:
    with connect_pool(records) as pool:
        made = databases(Settings(databases={NAME: json.loads(settings)}), lambda: None)
        backups = Backups(made.databases, made.hosts, made.backups, pool)
        ActivityEnvironment().run(backups.restore, RestoreBackup.model_validate_json(request))


if __name__ == "__main__":
    main(*sys.argv[1:])
