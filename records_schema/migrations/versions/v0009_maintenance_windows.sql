-- Maintenance windows (runbook 6.1). As before: every row that a run writes names its workflow, run and effect.

CREATE TABLE runbooks.maintenance_windows (
    window_id   text        PRIMARY KEY,
    service     text        NOT NULL,
    title       text        NOT NULL,
    impact      text        NOT NULL,
    starts_at   timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL,
    held_until  timestamptz NOT NULL,
    status      text        NOT NULL DEFAULT 'scheduled',
    created_by  text        NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at  timestamptz,
    ended_at    timestamptz,
    outcome     text        NOT NULL DEFAULT '',
    workflow_id text        NOT NULL,
    run_id      text        NOT NULL,
    effect_key  text        NOT NULL CONSTRAINT maintenance_windows_have_an_effect_once UNIQUE,
    CONSTRAINT window_service_is_not_empty CHECK (service <> ''),
    CONSTRAINT window_ends_after_it_starts CHECK (ends_at > starts_at),
    CONSTRAINT window_status_is_scheduled_in_progress_completed_or_cancelled
        CHECK (status IN ('scheduled', 'in_progress', 'completed', 'cancelled')),
    CONSTRAINT windows_of_a_service_do_not_overlap
        EXCLUDE USING gist (service WITH =, tstzrange(starts_at, ends_at) WITH &&)
        WHERE (status IN ('scheduled', 'in_progress'))
);
CREATE INDEX maintenance_windows_of_a_service ON runbooks.maintenance_windows (service, starts_at);
COMMENT ON TABLE runbooks.maintenance_windows IS
    'tensafe-admin maintenance create, start, end (runbook 6.1). One that is in progress is a hold on its service: '
    'others look here before they page or mitigate.';
COMMENT ON COLUMN runbooks.maintenance_windows.held_until IS
    'The hold ends here by itself, whatever became of its run: the end, and the time that people have to answer in.';

CREATE TABLE runbooks.maintenance_notices (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    window_id       text        NOT NULL,
    component       text        NOT NULL,
    title           text        NOT NULL,
    status          text        NOT NULL,
    component_shows text        NOT NULL DEFAULT '',
    message         text        NOT NULL,
    starts_at       timestamptz NOT NULL,
    ends_at         timestamptz NOT NULL,
    at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    workflow_id     text        NOT NULL,
    run_id          text        NOT NULL,
    effect_key      text        NOT NULL CONSTRAINT maintenance_notices_have_an_effect_once UNIQUE,
    CONSTRAINT notice_status_is_scheduled_in_progress_verifying_or_completed
        CHECK (status IN ('Scheduled', 'In progress', 'Verifying', 'Completed'))
);
CREATE INDEX maintenance_notices_of_a_window ON runbooks.maintenance_notices (window_id, id);
COMMENT ON TABLE runbooks.maintenance_notices IS
    'tensafe-admin statuspage maintenance schedule, statuspage update (runbook 6.1), where no status page service is '
    'configured. A window''s latest row is its state.';
COMMENT ON COLUMN runbooks.maintenance_notices.component_shows IS
    'What the component shows from now on, e.g. under_maintenance; empty where it stays as it is.';
