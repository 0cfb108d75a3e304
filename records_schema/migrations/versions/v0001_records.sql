-- Conventions
--   * Every table a run writes to has workflow_id, run_id and effect_key of the effect that made the row;
--     effect_key is unique, so that the database itself refuses to let one effect happen twice.
--   * incident_id is not a foreign key except in an incident's own parts: in an outage of this database writes are
--     retried independently, and a page must not be lost because the incident's row comes a second later.
--   * Constraint names are sentences: people read them in the error.

CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TABLE runbooks.audit_log (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor        text        NOT NULL,
    workflow_id  text        NOT NULL,
    run_id       text        NOT NULL,
    effect_key   text        NOT NULL CONSTRAINT audit_log_has_an_effect_once UNIQUE,
    action       text        NOT NULL,
    target       text        NOT NULL,
    before       text        NOT NULL,
    after        text        NOT NULL,
    note         text        NOT NULL
);
CREATE INDEX audit_log_of_a_run ON runbooks.audit_log (workflow_id, id);
CREATE INDEX audit_log_of_a_target ON runbooks.audit_log (target, id);
CREATE INDEX audit_log_by_time ON runbooks.audit_log (at);
COMMENT ON TABLE runbooks.audit_log IS
    'One row per effect on the records: who, in which run, what, before and after. Append-only: a trigger refuses '
    'UPDATE, DELETE and TRUNCATE to everybody, the owner and superusers included. It is also what makes an effect '
    'happen once: a second attempt finds its key here and answers what the first had done.';

CREATE FUNCTION runbooks.refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER audit_log_is_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON runbooks.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION runbooks.refuse_change();
-- ALWAYS: also where session_replication_role switches ordinary triggers off.
ALTER TABLE runbooks.audit_log ENABLE ALWAYS TRIGGER audit_log_is_append_only;

CREATE TABLE runbooks.incidents (
    incident_id     text        PRIMARY KEY,
    severity        text        NOT NULL,
    title           text        NOT NULL,
    service         text        NOT NULL,
    commander       text        NOT NULL,
    status          text        NOT NULL DEFAULT 'open',
    opened_at       timestamptz NOT NULL,
    acknowledged_at timestamptz,
    mitigated_at    timestamptz,
    stable_at       timestamptz,
    cancelled_at    timestamptz,
    closed_at       timestamptz,
    closed_by       text        NOT NULL DEFAULT '',
    resolution      text        NOT NULL DEFAULT '',
    root_cause      text        NOT NULL DEFAULT '',
    workflow_id     text        NOT NULL,
    run_id          text        NOT NULL,
    effect_key      text        NOT NULL CONSTRAINT incidents_have_an_effect_once UNIQUE,
    CONSTRAINT incident_id_is_not_empty CHECK (incident_id <> ''),
    CONSTRAINT incident_severity_is_p1_to_p4 CHECK (severity IN ('P1', 'P2', 'P3', 'P4')),
    CONSTRAINT incident_status_is_open_mitigated_stable_closed_or_cancelled
        CHECK (status IN ('open', 'mitigated', 'stable', 'closed', 'cancelled')),
    CONSTRAINT incident_is_closed_with_a_time CHECK (status <> 'closed' OR closed_at IS NOT NULL)
);
CREATE INDEX incidents_of_a_service ON runbooks.incidents (service, opened_at DESC);
CREATE INDEX incidents_by_time ON runbooks.incidents (opened_at DESC);
CREATE INDEX incidents_not_over ON runbooks.incidents (service, severity)
    WHERE status NOT IN ('closed', 'cancelled');
COMMENT ON TABLE runbooks.incidents IS
    'tensafe-admin incident (runbook 2.2 steps 2, 11, 12). Milestones keep the first time they were reached.';

CREATE TABLE runbooks.incident_notes (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id text        NOT NULL REFERENCES runbooks.incidents,
    at          timestamptz NOT NULL,
    author      text        NOT NULL,
    text        text        NOT NULL,
    workflow_id text        NOT NULL,
    run_id      text        NOT NULL,
    effect_key  text        NOT NULL CONSTRAINT incident_notes_have_an_effect_once UNIQUE
);
CREATE INDEX incident_notes_in_order ON runbooks.incident_notes (incident_id, at, id);
COMMENT ON TABLE runbooks.incident_notes IS 'tensafe-admin incident update --notes (runbook 2.2 step 11).';

CREATE TABLE runbooks.post_mortems (
    incident_id   text        PRIMARY KEY REFERENCES runbooks.incidents,
    scheduled_for timestamptz NOT NULL,
    draft_uri     text        NOT NULL DEFAULT '',
    invite_uri    text        NOT NULL DEFAULT '',
    workflow_id   text        NOT NULL,
    run_id        text        NOT NULL,
    effect_key    text        NOT NULL CONSTRAINT post_mortems_have_an_effect_once UNIQUE
);
CREATE INDEX post_mortems_by_time ON runbooks.post_mortems (scheduled_for);
COMMENT ON TABLE runbooks.post_mortems IS
    'tensafe-admin incident postmortem schedule (runbook 2.2 step 14). One an incident.';

CREATE TABLE runbooks.alerts (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source          text        NOT NULL,
    fingerprint     text        NOT NULL,
    starts_at       timestamptz NOT NULL,
    name            text        NOT NULL,
    status          text        NOT NULL,
    ends_at         timestamptz,
    labels          jsonb       NOT NULL,
    annotations     jsonb       NOT NULL,
    generator_url   text        NOT NULL,
    group_key       text        NOT NULL,
    service         text        NOT NULL,
    severity        text        NOT NULL,
    incident_id     text        NOT NULL,
    acknowledged_at timestamptz NOT NULL,
    acknowledged_by text        NOT NULL,
    resolved_at     timestamptz,
    notes           text        NOT NULL DEFAULT '',
    recorded_at     timestamptz NOT NULL DEFAULT now(),
    workflow_id     text        NOT NULL,
    run_id          text        NOT NULL,
    effect_key      text        NOT NULL CONSTRAINT alerts_have_an_effect_once UNIQUE,
    CONSTRAINT alert_firing_is_recorded_once UNIQUE (source, fingerprint, starts_at),
    CONSTRAINT alert_fingerprint_is_not_empty CHECK (fingerprint <> ''),
    CONSTRAINT alert_status_is_firing_or_resolved CHECK (status IN ('firing', 'resolved')),
    CONSTRAINT alert_severity_is_p1_to_p4 CHECK (severity IN ('P1', 'P2', 'P3', 'P4'))
);
CREATE INDEX alerts_of_an_incident ON runbooks.alerts (incident_id);
CREATE INDEX alerts_by_time ON runbooks.alerts (starts_at DESC);
COMMENT ON TABLE runbooks.alerts IS
    'tensafe-admin alert (runbook 1.1, 2.2 step 1, 2.3 step 7). One row a firing; several may belong to one incident.';
COMMENT ON COLUMN runbooks.alerts.incident_id IS
    'The incident that handles it now. Not a foreign key: the alert is acknowledged before the incident is created.';

CREATE TABLE runbooks.deployments (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service     text        NOT NULL,
    version     text        NOT NULL,
    status      text        NOT NULL,
    deployer    text        NOT NULL,
    change_log  text        NOT NULL DEFAULT '',
    revision    integer,
    reason      text        NOT NULL DEFAULT '',
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    workflow_id text        NOT NULL,
    run_id      text        NOT NULL,
    effect_key  text        NOT NULL CONSTRAINT deployments_have_an_effect_once UNIQUE,
    CONSTRAINT deployment_status_is_started_complete_failed_or_rolled_back
        CHECK (status IN ('started', 'complete', 'failed', 'rolled_back')),
    CONSTRAINT deployment_is_finished_unless_started CHECK ((status = 'started') = (finished_at IS NULL))
);
CREATE INDEX deployments_of_a_service ON runbooks.deployments (service, started_at DESC);
COMMENT ON TABLE runbooks.deployments IS
    'tensafe-admin deploy create|complete|rollback (runbook 4.1 steps 2 and 7, 4.2 step 4). One row a rollout.';

CREATE TABLE runbooks.pages (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id     text        NOT NULL,
    level           integer     NOT NULL,
    service         text        NOT NULL,
    severity        text        NOT NULL,
    rotation        text        NOT NULL,
    paged           text        NOT NULL,
    email           text        NOT NULL,
    summary         text        NOT NULL,
    link            text        NOT NULL,
    paged_at        timestamptz NOT NULL DEFAULT now(),
    acknowledged_at timestamptz,
    acknowledged_by text        NOT NULL DEFAULT '',
    resolved_at     timestamptz,
    workflow_id     text        NOT NULL,
    run_id          text        NOT NULL,
    effect_key      text        NOT NULL CONSTRAINT pages_have_an_effect_once UNIQUE,
    CONSTRAINT page_level_is_at_least_1 CHECK (level >= 1),
    CONSTRAINT page_severity_is_p1_to_p4 CHECK (severity IN ('P1', 'P2', 'P3', 'P4'))
);
CREATE UNIQUE INDEX pages_once_a_level_while_open ON runbooks.pages (incident_id, level) WHERE resolved_at IS NULL;
CREATE INDEX pages_of_an_incident ON runbooks.pages (incident_id, level);
COMMENT ON TABLE runbooks.pages IS
    'Who was paged for an incident (runbook 2.2), where no paging service is configured. One open page a level.';

CREATE TABLE runbooks.status_updates (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    component   text        NOT NULL,
    incident_id text        NOT NULL,
    title       text        NOT NULL,
    status      text        NOT NULL,
    message     text        NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    workflow_id text        NOT NULL,
    run_id      text        NOT NULL,
    effect_key  text        NOT NULL CONSTRAINT status_updates_have_an_effect_once UNIQUE,
    CONSTRAINT status_is_investigating_identified_monitoring_or_resolved
        CHECK (status IN ('Investigating', 'Identified', 'Monitoring', 'Resolved'))
);
CREATE INDEX status_updates_of_an_incident ON runbooks.status_updates (incident_id, component, id);
CREATE INDEX status_updates_of_a_component ON runbooks.status_updates (component, id DESC);
COMMENT ON TABLE runbooks.status_updates IS
    'tensafe-admin statuspage update (runbook 2.2 steps 7 and 13), where no status page service is configured. '
    'A component''s latest row is its state.';

CREATE TABLE runbooks.messages (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel     text        NOT NULL,
    text        text        NOT NULL,
    thread      bigint      REFERENCES runbooks.messages,
    post_at     timestamptz,
    written_at  timestamptz NOT NULL DEFAULT now(),
    workflow_id text        NOT NULL,
    run_id      text        NOT NULL,
    effect_key  text        NOT NULL CONSTRAINT messages_have_an_effect_once UNIQUE,
    CONSTRAINT message_channel_is_not_empty CHECK (channel <> '')
);
CREATE INDEX messages_of_a_channel ON runbooks.messages (channel, id);
CREATE INDEX messages_of_a_run ON runbooks.messages (workflow_id, id);
COMMENT ON TABLE runbooks.messages IS
    'What would be said in chat (runbook 1, 2.2 steps 8 and 14), where no chat service is configured.';
COMMENT ON COLUMN runbooks.messages.post_at IS 'For messages that are to be posted later; null means at once.';

CREATE TABLE runbooks.on_call_rotations (
    name  text PRIMARY KEY,
    email text NOT NULL DEFAULT '',
    CONSTRAINT rotation_name_is_not_empty CHECK (name <> '')
);
COMMENT ON TABLE runbooks.on_call_rotations IS
    'On-call rotations. name and email answer where no shift covers the moment.';

CREATE TABLE runbooks.on_call_contacts (
    name  text PRIMARY KEY,
    email text NOT NULL DEFAULT '',
    phone text NOT NULL DEFAULT '',
    chat  text NOT NULL DEFAULT '',
    CONSTRAINT contact_name_is_not_empty CHECK (name <> '')
);
COMMENT ON TABLE runbooks.on_call_contacts IS 'Who can be on call, and how to reach them. Entered by people.';

CREATE TABLE runbooks.on_call_shifts (
    id       bigint    GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rotation text      NOT NULL REFERENCES runbooks.on_call_rotations ON UPDATE CASCADE,
    level    integer   NOT NULL DEFAULT 1,
    contact  text      NOT NULL REFERENCES runbooks.on_call_contacts ON UPDATE CASCADE,
    during   tstzrange NOT NULL,
    CONSTRAINT shift_level_is_at_least_1 CHECK (level >= 1),
    CONSTRAINT shift_has_a_beginning_and_an_end
        CHECK (NOT isempty(during) AND NOT lower_inf(during) AND NOT upper_inf(during)),
    CONSTRAINT one_person_a_level_at_a_time EXCLUDE USING gist (rotation WITH =, level WITH =, during WITH &&)
);
COMMENT ON TABLE runbooks.on_call_shifts IS
    'Who is on duty when: level 1 is paged first, 2 and up are escalations. A level''s shifts cannot overlap.';
