-- A mitigation that did not hold (runbook 2.2 step 6): both times are kept.

CREATE TABLE runbooks.incident_relapses (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id  text        NOT NULL REFERENCES runbooks.incidents,
    mitigated_at timestamptz NOT NULL,
    lost_at      timestamptz NOT NULL,
    workflow_id  text        NOT NULL,
    run_id       text        NOT NULL,
    effect_key   text        NOT NULL CONSTRAINT incident_relapses_have_an_effect_once UNIQUE,
    CONSTRAINT incident_relapse_comes_after_its_mitigation CHECK (lost_at >= mitigated_at)
);
CREATE INDEX incident_relapses_in_order ON runbooks.incident_relapses (incident_id, lost_at, id);
COMMENT ON TABLE runbooks.incident_relapses IS
    'When an incident was mitigated and was unhealthy again. incidents.mitigated_at is then that of the next time.';
COMMENT ON TABLE runbooks.incidents IS
    'tensafe-admin incident (runbook 2.2 steps 2, 11, 12). A milestone keeps the first time since the last relapse.';
