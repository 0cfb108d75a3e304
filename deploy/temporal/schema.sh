#!/bin/sh
# Brings Temporal's two databases to the schema of this image's version; finds nothing to do the second time.
# Host, port, user and plugin come as SQL_HOST, SQL_PORT, SQL_USER and SQL_PLUGIN.
set -eu

SQL_PASSWORD=$(cat /run/secrets/temporal_db_password)
export SQL_PASSWORD

apply() { # DATABASE SCHEMA, of those that are built into the tool
    temporal-sql-tool --db "$1" setup-schema -v 0.0
    temporal-sql-tool --db "$1" update-schema --schema-name "postgresql/v12/$2"
}

apply temporal temporal
apply temporal_visibility visibility
