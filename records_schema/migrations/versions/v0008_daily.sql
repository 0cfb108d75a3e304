-- Daily operations (runbook 1.1, 1.2, 1.3).

-- A warning of the pulse is nobody's incident, and nobody has acknowledged it.
ALTER TABLE runbooks.alerts ALTER COLUMN acknowledged_at DROP NOT NULL;
ALTER TABLE runbooks.alerts ADD CONSTRAINT alert_of_an_incident_is_acknowledged
    CHECK (acknowledged_at IS NOT NULL OR incident_id = '');
CREATE UNIQUE INDEX one_open_warning_of_the_pulse_a_service ON runbooks.alerts (service)
    WHERE source = 'pulse' AND status = 'firing';

ALTER TABLE runbooks.messages ADD COLUMN picture bytea;
COMMENT ON COLUMN runbooks.messages.picture IS 'A PNG that goes with the message (runbook 1.1, 1.3).';

ALTER TABLE runbooks.tenants ADD COLUMN monthly_revenue numeric(14, 2)
    CONSTRAINT monthly_revenue_is_not_negative CHECK (monthly_revenue >= 0);
COMMENT ON COLUMN runbooks.tenants.monthly_revenue IS
    'What the tenant pays a month, in the company''s currency; null where nobody has entered it (runbook 1.1, 1.3).';

CREATE TABLE runbooks.daily_reports (
    service     text        NOT NULL,
    day         date        NOT NULL,
    time_zone   text        NOT NULL,
    made_at     timestamptz NOT NULL,
    figures     jsonb       NOT NULL,
    handoff     text        NOT NULL,
    workflow_id text        NOT NULL,
    run_id      text        NOT NULL,
    effect_key  text        NOT NULL CONSTRAINT daily_reports_have_an_effect_once UNIQUE,
    CONSTRAINT one_report_a_service_and_day PRIMARY KEY (service, day)
);
COMMENT ON TABLE runbooks.daily_reports IS
    'What was kept as /var/log/tensafe/daily/DATE.txt (runbook 1.3 step 6): day is the day in time_zone. The first report of a day stays.';
