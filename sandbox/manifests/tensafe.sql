-- The service's own tables, as its migrations would leave them, with a few rows. Run as the role that owns the database.
CREATE TABLE adapters (
  adapter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant text NOT NULL,
  name text NOT NULL,
  rank integer NOT NULL CHECK (rank > 0),
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (tenant, name)
);
CREATE TABLE training_jobs (
  job_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  adapter_id bigint NOT NULL REFERENCES adapters,
  status text NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed')),
  epochs integer NOT NULL,
  loss double precision,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX training_jobs_adapter ON training_jobs (adapter_id, created_at);
CREATE INDEX training_jobs_unfinished ON training_jobs (created_at) WHERE status IN ('queued', 'running');
CREATE TABLE events (
  event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job_id bigint REFERENCES training_jobs,
  kind text NOT NULL,
  body jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX events_job ON events (job_id, created_at);

INSERT INTO adapters (tenant, name, rank)
SELECT 'tenant-' || n % 5, 'adapter-' || n, 8 * (1 + n % 4) FROM generate_series(1, 20) AS n;
INSERT INTO training_jobs (adapter_id, status, epochs, loss)
SELECT 1 + n % 20, (ARRAY['succeeded', 'succeeded', 'failed', 'running'])[1 + n % 4], 1 + n % 3, 1.0 / n
FROM generate_series(1, 100) AS n;
INSERT INTO events (job_id, kind, body)
SELECT 1 + n % 100, (ARRAY['started', 'epoch', 'finished'])[1 + n % 3], jsonb_build_object('number', n)
FROM generate_series(1, 500) AS n;
