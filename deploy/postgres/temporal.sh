#!/bin/sh
# Run once by the postgres image, on an empty volume: Temporal's role and its two databases.
set -eu

# The password comes by the environment of psql alone, never as an argument that `ps` would show.
TEMPORAL_PASSWORD=$(cat /run/secrets/temporal_db_password)
export TEMPORAL_PASSWORD

psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv password TEMPORAL_PASSWORD
CREATE ROLE temporal LOGIN PASSWORD :'password';
REVOKE ALL ON DATABASE postgres FROM PUBLIC;
CREATE DATABASE temporal OWNER temporal;
REVOKE ALL ON DATABASE temporal FROM PUBLIC;
CREATE DATABASE temporal_visibility OWNER temporal;
REVOKE ALL ON DATABASE temporal_visibility FROM PUBLIC;
SQL
