CREATE TABLE runbooks.slack_threads (
    workflow_id text        NOT NULL,
    run_id      text        NOT NULL,
    incident_id text        NOT NULL DEFAULT '',
    channel     text        NOT NULL,
    message_id  text        NOT NULL DEFAULT '',
    shows       text        NOT NULL DEFAULT '',
    told        text[]      NOT NULL DEFAULT '{}',
    ended       boolean     NOT NULL DEFAULT false,
    opened_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (workflow_id, run_id)
);
CREATE INDEX slack_threads_open ON runbooks.slack_threads (opened_at) WHERE NOT ended;
CREATE INDEX slack_threads_of_an_incident ON runbooks.slack_threads (incident_id) WHERE incident_id <> '';
COMMENT ON TABLE runbooks.slack_threads IS
    'One thread a run in Slack: its first message, which is updated in place, and what was posted below it.';
COMMENT ON COLUMN runbooks.slack_threads.message_id IS
    'The first message''s `ts`; empty while it is being posted, when the channel is looked through for it first.';
COMMENT ON COLUMN runbooks.slack_threads.shows IS 'Digest of what the first message shows; empty: not known.';
COMMENT ON COLUMN runbooks.slack_threads.told IS 'What was posted into the thread, by name: a question''s ID, the end.';
