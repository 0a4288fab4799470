#!/bin/sh
# Temporal's own tables: made at the first start, brought up to date at each later one.
set -eu
for database in temporal temporal_visibility; do
    tool="temporal-sql-tool --plugin postgres12 --ep $POSTGRES_SEEDS -p $DB_PORT -u $POSTGRES_USER --db $database"
    folder=${database#temporal_}
    $tool create
    $tool setup-schema -v 0.0 || true  # refused when it is there
    $tool update-schema -d "/etc/temporal/schema/postgresql/v12/$folder/versioned"
done
