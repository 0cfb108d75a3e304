-- Closed runs as evidence (audit/records.py says what a record is). What is chained is only added to: triggers refuse
-- everything else to everybody, the owner and superusers included. They guard against mistakes and against whoever has
-- the database but not the signing key; that nobody got round them is what verifying the chain shows.

CREATE TABLE runbooks.archive_records (
    seq         bigint      PRIMARY KEY,
    kind        text        NOT NULL,
    namespace   text        NOT NULL,
    workflow_id text        NOT NULL,
    run_id      text        NOT NULL,
    about       bigint      REFERENCES runbooks.archive_records (seq),
    story       bytea,
    header      bytea       NOT NULL,
    signature   text        NOT NULL,
    skeleton    bytea       NOT NULL,
    size        bigint      NOT NULL,
    CONSTRAINT archive_record_is_a_run_or_a_redaction CHECK (kind IN ('run', 'redaction')),
    CONSTRAINT archive_redaction_is_about_an_earlier_record CHECK ((kind = 'redaction') = coalesce(about < seq, false)),
    CONSTRAINT archive_run_has_a_story CHECK ((kind = 'run') = (story IS NOT NULL))
);
CREATE UNIQUE INDEX archive_records_have_a_run_once ON runbooks.archive_records (namespace, run_id) WHERE kind = 'run';
CREATE INDEX archive_records_of_a_workflow ON runbooks.archive_records (workflow_id);
CREATE INDEX archive_records_about_a_record ON runbooks.archive_records (about) WHERE kind = 'redaction';
COMMENT ON TABLE runbooks.archive_records IS
    'The chain: one signed record per closed run, and one per redaction. Append-only.';
COMMENT ON COLUMN runbooks.archive_records.about IS 'Of a redaction: the record whose bodies it lets be erased.';
COMMENT ON COLUMN runbooks.archive_records.story IS 'Commitment to the derived story; its body is in archive_bodies.';
COMMENT ON COLUMN runbooks.archive_records.header IS 'Canonical JSON; what is hashed and signed.';
COMMENT ON COLUMN runbooks.archive_records.skeleton IS
    'The history''s canonical JSON with a commitment in place of each payload''s data; of a redaction its statement.';
COMMENT ON COLUMN runbooks.archive_records.size IS 'Bytes of skeleton and bodies when written: readers page by it.';

CREATE TABLE runbooks.archive_bodies (
    seq        bigint NOT NULL,
    commitment bytea  NOT NULL,
    salt       bytea  NOT NULL,
    data       bytea  NOT NULL,
    PRIMARY KEY (seq, commitment)
);
COMMENT ON TABLE runbooks.archive_bodies IS
    'What records commit to: payloads as in the history, and stories. Append-only, but for what a redaction in the '
    'chain names: that may be deleted.';

CREATE FUNCTION runbooks.archive_link() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    last   runbooks.archive_records;
    header jsonb := convert_from(NEW.header, 'UTF8')::jsonb;
BEGIN
    SELECT * INTO last FROM runbooks.archive_records ORDER BY seq DESC LIMIT 1;
    IF NEW.seq <> coalesce(last.seq, 0) + 1
       OR (header -> 'seq', header ->> 'kind', header ->> 'namespace', header ->> 'workflow_id', header ->> 'run_id')
          IS DISTINCT FROM (to_jsonb(NEW.seq), NEW.kind, NEW.namespace, NEW.workflow_id, NEW.run_id)
       OR (header ->> 'previous', header ->> 'skeleton', header ->> 'story')
          IS DISTINCT FROM (coalesce(encode(sha256(last.header), 'hex'), repeat('0', 64)),
                            encode(sha256(NEW.skeleton), 'hex'), coalesce(encode(NEW.story, 'hex'), ''))
       OR (NEW.kind = 'redaction'
           AND convert_from(NEW.skeleton, 'UTF8')::jsonb -> 'seq' IS DISTINCT FROM to_jsonb(NEW.about)) THEN
        RAISE EXCEPTION 'record % does not follow the end of the chain', NEW.seq USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER archive_records_follow_each_other
    BEFORE INSERT ON runbooks.archive_records FOR EACH ROW EXECUTE FUNCTION runbooks.archive_link();
ALTER TABLE runbooks.archive_records ENABLE ALWAYS TRIGGER archive_records_follow_each_other;
CREATE TRIGGER archive_records_are_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON runbooks.archive_records
    FOR EACH STATEMENT EXECUTE FUNCTION runbooks.refuse_change();
ALTER TABLE runbooks.archive_records ENABLE ALWAYS TRIGGER archive_records_are_append_only;

CREATE FUNCTION runbooks.archive_erase() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM runbooks.archive_records
        WHERE kind = 'redaction' AND about = OLD.seq
          AND convert_from(skeleton, 'UTF8')::jsonb -> 'commitments' ? encode(OLD.commitment, 'hex')
    ) THEN
        RAISE EXCEPTION 'no redaction in the chain names this body of record %: DELETE refused', OLD.seq
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END
$$;
CREATE TRIGGER archive_bodies_go_only_by_redaction
    BEFORE DELETE ON runbooks.archive_bodies FOR EACH ROW EXECUTE FUNCTION runbooks.archive_erase();
ALTER TABLE runbooks.archive_bodies ENABLE ALWAYS TRIGGER archive_bodies_go_only_by_redaction;
CREATE TRIGGER archive_bodies_are_not_changed
    BEFORE UPDATE OR TRUNCATE ON runbooks.archive_bodies
    FOR EACH STATEMENT EXECUTE FUNCTION runbooks.refuse_change();
ALTER TABLE runbooks.archive_bodies ENABLE ALWAYS TRIGGER archive_bodies_are_not_changed;

CREATE TABLE runbooks.archive_heads (
    seq       bigint      PRIMARY KEY REFERENCES runbooks.archive_records (seq),
    hash      text        NOT NULL,
    at        timestamptz NOT NULL,
    key       text        NOT NULL,
    signature text        NOT NULL
);
CREATE TRIGGER archive_heads_are_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON runbooks.archive_heads
    FOR EACH STATEMENT EXECUTE FUNCTION runbooks.refuse_change();
ALTER TABLE runbooks.archive_heads ENABLE ALWAYS TRIGGER archive_heads_are_append_only;
COMMENT ON TABLE runbooks.archive_heads IS
    'Where the chain ended, signed, after each batch. Copies are kept elsewhere: they tell whether its end was cut off.';

CREATE TABLE runbooks.archive_access (
    id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    who    text        NOT NULL,
    action text        NOT NULL,
    what   text        NOT NULL
);
CREATE INDEX archive_access_by_time ON runbooks.archive_access (at);
CREATE TRIGGER archive_access_is_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON runbooks.archive_access
    FOR EACH STATEMENT EXECUTE FUNCTION runbooks.refuse_change();
ALTER TABLE runbooks.archive_access ENABLE ALWAYS TRIGGER archive_access_is_append_only;
COMMENT ON TABLE runbooks.archive_access IS 'Who looked at evidence, searched it, took it out or redacted it. Append-only.';

CREATE TABLE runbooks.archive_index (
    seq             bigint      PRIMARY KEY REFERENCES runbooks.archive_records (seq),
    namespace       text        NOT NULL,
    workflow_id     text        NOT NULL,
    run_id          text        NOT NULL,
    first_run_id    text        NOT NULL,
    parent_workflow text        NOT NULL,
    parent_run      text        NOT NULL,
    procedure       text        NOT NULL,
    severity        text        NOT NULL,
    service         text        NOT NULL,
    tenant          text        NOT NULL,
    incident        text        NOT NULL,
    outcome         text        NOT NULL,
    status          text        NOT NULL,
    started_at      timestamptz NOT NULL,
    ended_at        timestamptz,
    actors          text[]      NOT NULL,
    targets         text[]      NOT NULL,
    story           bytea,
    UNIQUE (namespace, run_id)
);
CREATE INDEX archive_index_by_time ON runbooks.archive_index (started_at, seq);
CREATE INDEX archive_index_by_procedure ON runbooks.archive_index (procedure, started_at, seq);
CREATE INDEX archive_index_of_an_incident ON runbooks.archive_index (incident) WHERE incident <> '';
CREATE INDEX archive_index_of_a_workflow ON runbooks.archive_index (workflow_id, started_at);
CREATE INDEX archive_index_of_a_parent ON runbooks.archive_index (parent_run) WHERE parent_run <> '';
CREATE INDEX archive_index_of_actors ON runbooks.archive_index USING gin (actors);
CREATE INDEX archive_index_of_targets ON runbooks.archive_index USING gin (targets);
COMMENT ON TABLE runbooks.archive_index IS
    'What archived runs are searched by. Derived from the chain, and not part of it: `runbooks audit archive --reindex` makes it anew.';
COMMENT ON COLUMN runbooks.archive_index.story IS
    'The story derived anew after a redaction, JSON; null where the one in the chain stands.';

CREATE TABLE runbooks.archive_cursor (
    namespace text        PRIMARY KEY,
    until     timestamptz NOT NULL,
    moved_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE runbooks.archive_cursor IS
    'How far the archiver has come: every run closed before `until` is archived, or is in archive_failures.';

CREATE TABLE runbooks.archive_copies (
    place text   PRIMARY KEY,
    seq   bigint NOT NULL
);
COMMENT ON TABLE runbooks.archive_copies IS 'Up to which record the chain is copied to a place outside (a bucket).';

CREATE TABLE runbooks.archive_failures (
    namespace   text        NOT NULL,
    workflow_id text        NOT NULL,
    run_id      text        NOT NULL,
    closed_at   timestamptz NOT NULL,
    problem     text        NOT NULL,
    gone        boolean     NOT NULL DEFAULT false,
    attempts    integer     NOT NULL DEFAULT 1,
    first_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (namespace, run_id)
);
COMMENT ON TABLE runbooks.archive_failures IS
    'Closed runs that could not be archived, and why. They are tried again, ever less often; a run that is archived '
    'after all leaves this list.';
