-- Addresses that security incidents block (runbook 8.1 step 6). A row is written before its address gets into any list, so
-- that whoever clears up behind a run that was terminated finds it.

CREATE TABLE runbooks.blocked_addresses (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    address      cidr        NOT NULL,
    place        text        NOT NULL,
    service      text        NOT NULL,
    incident_id  text        NOT NULL,
    blocked_at   timestamptz NOT NULL DEFAULT now(),
    until        timestamptz,
    was_there    boolean     NOT NULL,
    ended_at     timestamptz,
    workflow_id  text        NOT NULL,
    run_id       text        NOT NULL,
    effect_key   text        NOT NULL CONSTRAINT blocked_addresses_have_an_effect_once UNIQUE
);
CREATE INDEX blocked_addresses_by_place ON runbooks.blocked_addresses (service, place, address) WHERE ended_at IS NULL;
COMMENT ON TABLE runbooks.blocked_addresses IS 'tensafe-admin security block-ip (runbook 8.1 step 6).';
COMMENT ON COLUMN runbooks.blocked_addresses.effect_key IS 'Of the effect, the list and the address.';
COMMENT ON COLUMN runbooks.blocked_addresses.until IS 'For good where there is none.';
COMMENT ON COLUMN runbooks.blocked_addresses.was_there IS 'Somebody else had it in the list before: it stays there.';
