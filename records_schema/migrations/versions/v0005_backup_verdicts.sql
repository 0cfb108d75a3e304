-- Verdicts of backups (runbook 7.3 step 3). Every row names its workflow, run and effect.

CREATE TABLE runbooks.backup_verdicts (
    verdict_id  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    database    text        NOT NULL,
    backup_id   text        NOT NULL,
    good        boolean     NOT NULL,
    detail      text        NOT NULL DEFAULT '',
    checked_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    workflow_id text        NOT NULL,
    run_id      text        NOT NULL,
    effect_key  text        NOT NULL CONSTRAINT backup_verdicts_have_an_effect_once UNIQUE,
    CONSTRAINT verdict_database_is_not_empty CHECK (database <> ''),
    CONSTRAINT verdict_backup_is_not_empty CHECK (backup_id <> '')
);
CREATE INDEX verdicts_of_a_backup ON runbooks.backup_verdicts (database, backup_id, verdict_id DESC);
COMMENT ON TABLE runbooks.backup_verdicts IS
    'tensafe-admin backup list --status verified (runbook 7.3 step 3). Rows are only added; a backup''s newest one counts.';
