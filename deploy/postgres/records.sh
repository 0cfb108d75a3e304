#!/bin/sh
# Run once by the postgres image, on an empty volume: the records' database, its owner, the role of the workers, and the
# one of the public status page, which reads what it shows (the migration grants it) and nothing else.
#
# The owner migrates. The workers read and write rows; they can't change a table, nor switch off the trigger that
# keeps the audit log append-only. Tables of later migrations are theirs to use by the owner's default privileges.
set -eu

# Passwords come by the environment of psql alone, never as arguments that `ps` would show.
OWNER_PASSWORD=$(cat /run/secrets/records_db_owner_password)
WORKER_PASSWORD=$(cat /run/secrets/records_db_password)
STATUS_PAGE_PASSWORD=$(cat /run/secrets/records_db_status_page_password)
export OWNER_PASSWORD WORKER_PASSWORD STATUS_PAGE_PASSWORD

psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv owner_password OWNER_PASSWORD
\getenv worker_password WORKER_PASSWORD
\getenv status_page_password STATUS_PAGE_PASSWORD
CREATE ROLE runbooks_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE runbooks LOGIN PASSWORD :'worker_password';
CREATE ROLE runbooks_status_page LOGIN PASSWORD :'status_page_password';
ALTER ROLE runbooks_status_page SET default_transaction_read_only = on;
CREATE DATABASE runbooks OWNER runbooks_owner;
REVOKE ALL ON DATABASE runbooks, postgres FROM PUBLIC;
GRANT CONNECT ON DATABASE runbooks TO runbooks, runbooks_status_page;
\connect runbooks
-- The health check takes the schema as the sign that all of this was done.
BEGIN;
CREATE SCHEMA runbooks AUTHORIZATION runbooks_owner;
GRANT USAGE ON SCHEMA runbooks TO runbooks;
ALTER DEFAULT PRIVILEGES FOR ROLE runbooks_owner IN SCHEMA runbooks
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO runbooks;
ALTER DEFAULT PRIVILEGES FOR ROLE runbooks_owner IN SCHEMA runbooks
    GRANT USAGE, SELECT ON SEQUENCES TO runbooks;
COMMIT;
SQL
