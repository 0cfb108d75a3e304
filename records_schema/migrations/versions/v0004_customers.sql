-- Customers (runbook 5.1, 5.2, 5.3, 8.2). As before: every row that a run writes names its workflow, run and effect.
-- Tenants may also be entered by the service itself; then these are null.

CREATE TABLE runbooks.tenants (
    tenant_id    text        PRIMARY KEY,
    name         text        NOT NULL,
    tier         text        NOT NULL,
    status       text        NOT NULL DEFAULT 'active',
    contact_name text        NOT NULL DEFAULT '',
    email        text        NOT NULL,
    csm          text        NOT NULL DEFAULT '',
    se           text        NOT NULL DEFAULT '',
    renews_on    date,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    workflow_id  text,
    run_id       text,
    effect_key   text        CONSTRAINT tenants_have_an_effect_once UNIQUE,
    CONSTRAINT tenant_id_is_not_empty CHECK (tenant_id <> ''),
    CONSTRAINT tenant_name_is_not_empty CHECK (name <> ''),
    CONSTRAINT tenant_email_is_an_address CHECK (email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    CONSTRAINT tenant_tier_is_starter_team_or_enterprise CHECK (tier IN ('starter', 'team', 'enterprise')),
    CONSTRAINT tenant_status_is_active_suspended_or_closed CHECK (status IN ('active', 'suspended', 'closed'))
);
CREATE UNIQUE INDEX tenant_names_are_unique ON runbooks.tenants (lower(name));
COMMENT ON TABLE runbooks.tenants IS 'tensafe-admin tenant create, customer info (runbook 5.1, 5.2 step 1).';
COMMENT ON COLUMN runbooks.tenants.csm IS 'Customer success manager. se: solutions engineer.';

CREATE TABLE runbooks.tenant_users (
    user_id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id     text        NOT NULL CONSTRAINT tenant_must_exist REFERENCES runbooks.tenants,
    email         text        NOT NULL,
    name          text        NOT NULL DEFAULT '',
    role          text        NOT NULL,
    password_hash text        NOT NULL,
    must_change   boolean     NOT NULL DEFAULT true,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    workflow_id   text        NOT NULL,
    run_id        text        NOT NULL,
    effect_key    text        NOT NULL CONSTRAINT tenant_users_have_an_effect_once UNIQUE,
    CONSTRAINT user_email_is_an_address CHECK (email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    CONSTRAINT user_role_is_admin_or_member CHECK (role IN ('admin', 'member'))
);
CREATE UNIQUE INDEX users_are_unique_in_a_tenant ON runbooks.tenant_users (tenant_id, lower(email));
COMMENT ON TABLE runbooks.tenant_users IS 'Who may sign in for a tenant (runbook 5.1).';
COMMENT ON COLUMN runbooks.tenant_users.password_hash IS
    'scrypt, with its parameters and salt; of the first password until it is changed.';

CREATE TABLE runbooks.api_keys (
    key_id       text        PRIMARY KEY,
    tenant_id    text        NOT NULL CONSTRAINT tenant_must_exist REFERENCES runbooks.tenants,
    key_hash     bytea       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    replaces     text        REFERENCES runbooks.api_keys,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    revoked_for  text        NOT NULL DEFAULT '',
    last_used_at timestamptz,
    workflow_id  text        NOT NULL,
    run_id       text        NOT NULL,
    effect_key   text        NOT NULL CONSTRAINT api_keys_have_an_effect_once UNIQUE,
    CONSTRAINT key_hash_is_sha_256 CHECK (octet_length(key_hash) = 32),
    CONSTRAINT key_does_not_replace_itself CHECK (replaces <> key_id)
);
-- A successor that was taken back leaves room for another.
CREATE UNIQUE INDEX a_key_is_replaced_once ON runbooks.api_keys (replaces) WHERE revoked_at IS NULL;
CREATE INDEX api_keys_of_a_tenant ON runbooks.api_keys (tenant_id, created_at);
COMMENT ON TABLE runbooks.api_keys IS
    'tensafe-admin apikey (runbook 5.1, 8.2). Of a key only the SHA-256 is kept: it has 256 random bits, so nothing slower is needed. '
    'key_id is the key''s first part and no secret. A key that expires_at names goes on working until then (deprecated).';

CREATE TABLE runbooks.tenant_usage (
    tenant_id text        NOT NULL CONSTRAINT tenant_must_exist REFERENCES runbooks.tenants,
    key_id    text        NOT NULL DEFAULT '',
    hour      timestamptz NOT NULL,
    kind      text        NOT NULL,
    count     bigint      NOT NULL DEFAULT 0,
    errors    bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, hour, kind, key_id),
    CONSTRAINT usage_hour_is_a_whole_hour CHECK (hour = date_trunc('hour', hour, 'UTC')),
    CONSTRAINT usage_kind_is_not_empty CHECK (kind <> ''),
    CONSTRAINT usage_is_counted_upwards CHECK (count >= 0 AND errors >= 0 AND errors <= count)
);
CREATE INDEX tenant_usage_of_a_key ON runbooks.tenant_usage (key_id, hour) WHERE key_id <> '';
COMMENT ON TABLE runbooks.tenant_usage IS
    'What a tenant does, by the hour: kind is api_call, training_job, login, monitoring, … (runbook 5.1, 5.2, 5.3, 8.2 step 4). '
    'Written by the service through record_usage and check_api_key.';

CREATE TABLE runbooks.tenant_errors (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text        NOT NULL CONSTRAINT tenant_must_exist REFERENCES runbooks.tenants,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    message   text        NOT NULL
);
CREATE INDEX tenant_errors_by_time ON runbooks.tenant_errors (tenant_id, at DESC);
COMMENT ON TABLE runbooks.tenant_errors IS 'tensafe-admin logs search --level error (runbook 5.2 step 3). Written by the service.';

CREATE TABLE runbooks.support_tickets (
    ticket_id      text        PRIMARY KEY,
    tenant_id      text        NOT NULL CONSTRAINT tenant_must_exist REFERENCES runbooks.tenants,
    priority       text        NOT NULL,
    title          text        NOT NULL,
    description    text        NOT NULL,
    status         text        NOT NULL DEFAULT 'open',
    assignee       text        NOT NULL DEFAULT '',
    opened_at      timestamptz NOT NULL,
    update_due_at  timestamptz,
    closed_at      timestamptz,
    resolution     text        NOT NULL DEFAULT '',
    workflow_id    text        NOT NULL,
    run_id         text        NOT NULL,
    effect_key     text        NOT NULL CONSTRAINT support_tickets_have_an_effect_once UNIQUE,
    CONSTRAINT ticket_priority_is_p1_to_p4 CHECK (priority IN ('P1', 'P2', 'P3', 'P4')),
    CONSTRAINT ticket_status_is_open_or_closed CHECK (status IN ('open', 'closed')),
    CONSTRAINT ticket_is_closed_with_a_time CHECK ((status = 'closed') = (closed_at IS NOT NULL))
);
CREATE INDEX support_tickets_of_a_tenant ON runbooks.support_tickets (tenant_id, opened_at DESC);
COMMENT ON TABLE runbooks.support_tickets IS 'tensafe-admin support (runbook 1.1 step 5, 1.3 step 3, 5.2 steps 4 to 6).';
COMMENT ON COLUMN runbooks.support_tickets.update_due_at IS 'Until when the customer was promised to hear from us.';

CREATE TABLE runbooks.ticket_comments (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ticket_id   text        NOT NULL CONSTRAINT ticket_must_exist REFERENCES runbooks.support_tickets,
    at          timestamptz NOT NULL,
    author      text        NOT NULL,
    text        text        NOT NULL,
    workflow_id text        NOT NULL,
    run_id      text        NOT NULL,
    effect_key  text        NOT NULL CONSTRAINT ticket_comments_have_an_effect_once UNIQUE
);
CREATE INDEX ticket_comments_in_order ON runbooks.ticket_comments (ticket_id, at, id);
COMMENT ON TABLE runbooks.ticket_comments IS 'tensafe-admin support comment (runbook 5.2 step 6): what the customer was told.';

CREATE TABLE runbooks.interventions (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id   text        NOT NULL CONSTRAINT tenant_must_exist REFERENCES runbooks.tenants,
    type        text        NOT NULL,
    notes       text        NOT NULL,
    score       integer     NOT NULL,
    csm         text        NOT NULL,
    opened_at   timestamptz NOT NULL,
    closed_at   timestamptz,
    outcome     text        NOT NULL DEFAULT '',
    workflow_id text        NOT NULL,
    run_id      text        NOT NULL,
    effect_key  text        NOT NULL CONSTRAINT interventions_have_an_effect_once UNIQUE,
    CONSTRAINT score_is_0_to_100 CHECK (score BETWEEN 0 AND 100),
    CONSTRAINT intervention_is_closed_with_an_outcome CHECK ((closed_at IS NULL) = (outcome = ''))
);
CREATE UNIQUE INDEX one_intervention_a_tenant_at_a_time ON runbooks.interventions (tenant_id) WHERE closed_at IS NULL;
CREATE INDEX interventions_of_a_tenant ON runbooks.interventions (tenant_id, opened_at DESC);
COMMENT ON TABLE runbooks.interventions IS 'tensafe-admin customer intervention create (runbook 5.3 step 4).';

CREATE TABLE runbooks.handovers (
    handover_id text        PRIMARY KEY,
    tenant_id   text        NOT NULL CONSTRAINT tenant_must_exist REFERENCES runbooks.tenants,
    token_hash  bytea       NOT NULL CONSTRAINT handover_tokens_are_unique UNIQUE,
    sealed      bytea,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at  timestamptz NOT NULL,
    opened_at   timestamptz,
    workflow_id text        NOT NULL,
    run_id      text        NOT NULL,
    effect_key  text        NOT NULL CONSTRAINT handovers_have_an_effect_once UNIQUE,
    CONSTRAINT token_hash_is_sha_256 CHECK (octet_length(token_hash) = 32),
    CONSTRAINT what_was_opened_is_gone CHECK (opened_at IS NULL OR sealed IS NULL)
);
COMMENT ON TABLE runbooks.handovers IS
    'Secrets on their way to a customer, each shown once (runbook 5.1, 8.2 step 2). sealed is AES-256-GCM under a key '
    'that only the link has; it is erased when it is opened.';

CREATE TABLE runbooks.mails (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id  text        NOT NULL CONSTRAINT mail_message_ids_are_unique UNIQUE,
    recipient   text        NOT NULL,
    subject     text        NOT NULL,
    template    text        NOT NULL,
    sent_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    workflow_id text        NOT NULL,
    run_id      text        NOT NULL,
    effect_key  text        NOT NULL CONSTRAINT mails_have_an_effect_once UNIQUE
);
CREATE INDEX mails_of_a_run ON runbooks.mails (workflow_id, id);
COMMENT ON TABLE runbooks.mails IS
    'Mail to customers that the mail server has taken. Every attempt of one has the same Message-ID. Bodies are not kept: '
    'some hold a one-time link.';

CREATE FUNCTION runbooks.record_usage(
    tenant text, kind text, count bigint DEFAULT 1, errors bigint DEFAULT 0, key text DEFAULT '',
    at timestamptz DEFAULT clock_timestamp()
) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO runbooks.tenant_usage AS u (tenant_id, key_id, hour, kind, count, errors)
    VALUES (tenant, key, date_trunc('hour', at, 'UTC'), kind, count, errors)
    ON CONFLICT (tenant_id, hour, kind, key_id)
    DO UPDATE SET count = u.count + excluded.count, errors = u.errors + excluded.errors
$$;
COMMENT ON FUNCTION runbooks.record_usage IS 'Counts what a tenant did; for the service to call.';

CREATE FUNCTION runbooks.api_key_verdict(key text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN k.revoked_at IS NOT NULL THEN 'revoked'
        WHEN k.expires_at <= clock_timestamp() THEN 'expired'
        WHEN t.status <> 'active' THEN 'tenant ' || t.status
        ELSE ''
    END
    FROM runbooks.api_keys k JOIN runbooks.tenants t USING (tenant_id)
    WHERE k.key_id = key
$$;
COMMENT ON FUNCTION runbooks.api_key_verdict IS
    'Why a key is refused, to whoever presents it; empty where it is accepted, null where there is none.';

CREATE FUNCTION runbooks.match_api_key(presented text)
RETURNS TABLE (tenant_id text, key_id text, accepted boolean, reason text)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    found record;
    -- Both sides are hashed with a nonce first, so that how long comparing takes says nothing about either.
    nonce bytea := uuid_send(gen_random_uuid());
    given bytea := sha256(convert_to(coalesce(presented, ''), 'UTF8'));
BEGIN
    SELECT k.key_id, k.tenant_id, k.key_hash, runbooks.api_key_verdict(k.key_id) AS verdict
      INTO found
      FROM runbooks.api_keys k
     WHERE k.key_id = split_part(coalesce(presented, ''), '.', 1);
    IF sha256(coalesce(found.key_hash, sha256(nonce)) || nonce) = sha256(given || nonce) THEN
        RETURN QUERY SELECT found.tenant_id, found.key_id, found.verdict = '', found.verdict;
    ELSE
        RETURN QUERY SELECT NULL::text, NULL::text, false, 'unknown';
    END IF;
END
$$;
COMMENT ON FUNCTION runbooks.match_api_key IS
    'Whose a presented key, KEY_ID.SECRET, is, whether it is accepted, and why not. Counts nothing.';

CREATE FUNCTION runbooks.check_api_key(presented text)
RETURNS TABLE (tenant_id text, key_id text, accepted boolean, reason text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    found record;
BEGIN
    SELECT * INTO found FROM runbooks.match_api_key(presented);
    IF found.key_id IS NOT NULL THEN
        PERFORM runbooks.record_usage(
            found.tenant_id, CASE WHEN found.accepted THEN 'api_call' ELSE 'refused_call' END, 1, 0, found.key_id
        );
    END IF;
    IF found.accepted THEN
        -- To the minute: a busy key's row isn't written with every call.
        UPDATE runbooks.api_keys k SET last_used_at = clock_timestamp()
         WHERE k.key_id = found.key_id
           AND (k.last_used_at IS NULL OR k.last_used_at < clock_timestamp() - interval '1 minute');
    END IF;
    RETURN QUERY SELECT found.tenant_id, found.key_id, found.accepted, found.reason;
END
$$;
COMMENT ON FUNCTION runbooks.check_api_key IS
    'The service''s check of a presented key: match_api_key, and the use is counted; that of a key which is refused '
    'as refused_call.';
