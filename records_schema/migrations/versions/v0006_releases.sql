-- The identity of a release (runbook 4.1, 4.2, 2.2 option A): versions can be the same for several, as `latest` is.

ALTER TABLE runbooks.deployments ADD COLUMN release text NOT NULL DEFAULT '';
COMMENT ON COLUMN runbooks.deployments.release IS
    'Digest of the pod template without the mark of a restart; empty where it was not known.';
