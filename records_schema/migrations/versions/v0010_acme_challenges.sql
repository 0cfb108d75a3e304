-- What a certificate authority looks for under a name before it issues (runbook 6.3, HTTP-01). No secret: it is shown to
-- whoever asks. Every row names its workflow, run and effect.

CREATE TABLE runbooks.acme_challenges (
    token             text        PRIMARY KEY,
    name              text        NOT NULL,
    key_authorization text        NOT NULL,
    shown_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at        timestamptz NOT NULL,
    workflow_id       text        NOT NULL,
    run_id            text        NOT NULL,
    -- One effect shows several pages: behind its key stands the page's token.
    effect_key        text        NOT NULL CONSTRAINT acme_challenges_have_an_effect_once UNIQUE,
    CONSTRAINT challenge_token_is_base64url CHECK (token ~ '^[A-Za-z0-9_-]+$'),
    CONSTRAINT challenge_name_is_not_empty CHECK (name <> '')
);
COMMENT ON TABLE runbooks.acme_challenges IS
    'Pages of ACME''s HTTP-01 challenges (runbook 6.3 step 2), removed when the order is over; `runbooks challenge-server` serves them.';
