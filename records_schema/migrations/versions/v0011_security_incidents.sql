-- Security incidents (runbook 8.1), in a table of their own: grant it to investigators alone. What was first found stands
-- here and in the evidence, and in no message and no history's search.

CREATE TABLE runbooks.security_incidents (
    incident_id  text        PRIMARY KEY,
    service      text        NOT NULL,
    severity     text        NOT NULL,
    type         text        NOT NULL,
    findings     text        NOT NULL,
    nodes        text[]      NOT NULL DEFAULT '{}',
    pods         text[]      NOT NULL DEFAULT '{}',
    aware_at     timestamptz NOT NULL,
    opened_at    timestamptz NOT NULL,
    closed_at    timestamptz,
    outcome      text        NOT NULL DEFAULT '',
    opened_by    text        NOT NULL,
    workflow_id  text        NOT NULL,
    run_id       text        NOT NULL,
    effect_key   text        NOT NULL CONSTRAINT security_incidents_have_an_effect_once UNIQUE,
    CONSTRAINT security_severity_is_known CHECK (severity IN ('critical', 'high')),
    CONSTRAINT security_incident_closes_after_it_opens CHECK (closed_at IS NULL OR closed_at >= opened_at)
);
CREATE INDEX security_incidents_by_service ON runbooks.security_incidents (service, opened_at DESC);
REVOKE ALL ON runbooks.security_incidents FROM PUBLIC;
COMMENT ON TABLE runbooks.security_incidents IS 'Security incidents (runbook 8.1): restricted to who investigates them.';
