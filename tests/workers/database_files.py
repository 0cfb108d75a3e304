"""Settings of a service's database, by name."""

FILE = """
[databases.tensafe.servers.primary]
url = "postgresql://admin:hunter2@db-1/tensafe"
host = "db-1"
[databases.tensafe.servers.spare-1]
url = "postgresql://admin:hunter2@db-3/tensafe"
host = "db-3"
directory = "/var/lib/postgresql/18/main"
[databases.tensafe.commands]
start = ["ssh", "{host}", "sudo systemctl start postgresql"]
[databases.tensafe.barman]
server = "tensafe"
config = "barman.conf"
model = "tensafe-{server}"
"""


ON_RDS = """
[databases.tensafe]
backend = "rds"
[databases.tensafe.servers.primary]
url = "postgresql://admin:hunter2@db-1/tensafe"
instance = "tensafe-1"
"""


def no_rds() -> None:
    raise AssertionError("nobody needs a client of RDS here")
