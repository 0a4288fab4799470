#!/bin/sh
# Make the secrets of an installation in a folder, once; what is there is kept. The mail server's password comes
# on standard input:  deploy/make-secrets.sh [FOLDER] [DATABASE_HOST] < mail-password
set -eu
folder=${1:-$(dirname "$0")/secrets}
database_host=${2:-postgres}
umask 077
mkdir -p "$folder"
cd "$folder"

keep() {  # NAME: take standard input as the secret, if there is none yet
    if [ -e "$1" ]; then
        cat >/dev/null
    else
        cat >"$1.new"
        mv "$1.new" "$1"
    fi
}
random() { od -An -tx1 -N32 /dev/urandom | tr -d ' \n'; }

keep CHANGEOVER_SMTP_PASSWORD
random | keep postgres_password
random | keep changeover_db_password
random | keep temporal_db_password
random | keep CHANGEOVER_PROOF_KEY
printf '[]' | keep CHANGEOVER_PROOF_KEYS_OLD  # docs/operations/rotation.md fills it
printf '{"first": "%s"}' "$(random)" | keep CHANGEOVER_CODE_KEYS
printf 'postgresql+asyncpg://changeover_service:%s@%s:5432/changeover' \
    "$(cat changeover_db_password)" "$database_host" | keep CHANGEOVER_DATABASE_URL
printf 'POSTGRES_PWD=%s\nSQL_PASSWORD=%s\n' "$(cat temporal_db_password)" "$(cat temporal_db_password)" \
    | keep temporal.env
# The containers' users read the mounted files: 10001 is ours, 999 PostgreSQL's. Only root can give them away.
if [ "$(id -u)" = 0 ] && [ "$database_host" = postgres ]; then
    chown 10001:10001 CHANGEOVER_*
    chown 999:999 changeover_db_password temporal_db_password
fi
