-- Written by CI through `runbooks ci` and by no run, so it names no run and has no effect_key: rows are only added,
-- and a result reported twice says the same thing twice.

CREATE TABLE runbooks.ci_results (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service     text        NOT NULL,
    version     text        NOT NULL,
    verdict     text        NOT NULL,
    detail      text        NOT NULL DEFAULT '',
    url         text        NOT NULL DEFAULT '',
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    reported_by text        NOT NULL,
    CONSTRAINT ci_service_is_not_empty CHECK (service <> ''),
    CONSTRAINT ci_version_is_not_empty CHECK (version <> ''),
    CONSTRAINT ci_reporter_is_not_empty CHECK (reported_by <> ''),
    CONSTRAINT ci_verdict_is_passed_failed_or_running CHECK (verdict IN ('passed', 'failed', 'running'))
);
CREATE INDEX ci_results_of_a_version ON runbooks.ci_results (service, version, at DESC, id DESC);
COMMENT ON TABLE runbooks.ci_results IS
    'Whether the tests of a version passed (runbook 4.1 step 1), where no CI service is configured. '
    'The newest row of a version counts; older ones stay for the auditor.';
COMMENT ON COLUMN runbooks.ci_results.at IS 'When it was reported, by this server''s clock.';
COMMENT ON COLUMN runbooks.ci_results.reported_by IS 'The operating system''s user that ran `runbooks ci`.';
