#!/bin/sh
# Run once by the image of PostgreSQL, in an empty cluster: a role and a database of our own, a role for Temporal.
set -eu
secrets=${SECRETS:-/run/secrets}
ours=$(cat "$secrets/changeover_db_password")
temporals=$(cat "$secrets/temporal_db_password")
psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" --dbname postgres \
    -v ours="$ours" -v temporals="$temporals" <<'SQL'
CREATE ROLE changeover_service LOGIN PASSWORD :'ours';
CREATE DATABASE changeover OWNER changeover_service;
REVOKE ALL ON DATABASE changeover FROM PUBLIC;
CREATE ROLE temporal LOGIN CREATEDB PASSWORD :'temporals';
SQL
