"""The sandbox's customers: one that does well, one that is about to leave, each with a key and 90 days of usage."""

import secrets

import psycopg

CUSTOMERS = {
    # Calls a day until 30 days ago, and since.
    "acme": ("Acme Labs", 400, 420),
    "globex": ("Globex Research", 300, 60),
}


def enter(records: str) -> None:
    """Enter them into new records, as the service itself would.

    Nobody has their keys in clear: rotate one, and the mail has the link to the new one.
    """
    with psycopg.connect(records) as connection:
        for tenant_id, (name, before, since) in CUSTOMERS.items():
            connection.execute(
                "INSERT INTO runbooks.tenants (tenant_id, name, tier, contact_name, email, csm, renews_on, created_at) "
                "VALUES (%s, %s, 'enterprise', 'Their administrator', %s, 'csm@tensafe.example', "
                "current_date + 60, now() - interval '1 year')",
                (tenant_id, name, f"it@{tenant_id}.example"),
            )
            key_id = f"tsk_{tenant_id}0001"
            connection.execute(
                "INSERT INTO runbooks.api_keys (key_id, tenant_id, key_hash, workflow_id, run_id, effect_key) "
                "VALUES (%s, %s, sha256(%s), 'sandbox', 'sandbox', %s)",
                (key_id, tenant_id, secrets.token_bytes(32), f"sandbox/{key_id}"),
            )
            connection.execute(
                "INSERT INTO runbooks.tenant_usage (tenant_id, key_id, hour, kind, count, errors) "
                "SELECT %s, %s, date_trunc('hour', now() - ago * interval '1 day', 'UTC'), 'api_call', "
                "CASE WHEN ago > 30 THEN %s ELSE %s END::bigint, 3 FROM generate_series(0, 89) AS ago",
                (tenant_id, key_id, before, since),
            )
            connection.execute(
                "INSERT INTO runbooks.tenant_errors (tenant_id, at, message) "
                "VALUES (%s, now() - interval '2 hours', 'training job 17: queue is full')",
                (tenant_id,),
            )
