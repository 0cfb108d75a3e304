"""Settings in which all holds together."""

FINE = """\
[approvals]
second_person = ["restore", "failover"]

[services.api]
namespace = "shop"
deployment = "api"
selector = "app=api"
health_url = "http://127.0.0.1/health"

[services.api.scaling]
lease = "PT30M"
longest_lease = "PT4H"

[services.api.gpu]
cluster = "c"
min_nodes = 2
max_nodes = 10

[services.api.customers]
key_grace = "PT24H"
churn = { remind_after = "P2D", escalate_after = "P5D" }

[services.api.database]
name = "d"
secret = "current"
servers = { one = { secret = "one" } }
restore.forensics = "P14D"
"""
