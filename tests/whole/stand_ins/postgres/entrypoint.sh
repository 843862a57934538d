#!/usr/bin/env bash
# Makes the cluster in $PGDATA once, then becomes the server: what the official image's entrypoint does, in short.
set -euo pipefail

from_file() { # VARIABLE [DEFAULT]: its value may lie in the file that VARIABLE_FILE names
    local name=$1 file="${1}_FILE" value="${!1:-${2:-}}"
    if [ -n "${!file:-}" ]; then
        if [ -n "${!name:-}" ]; then
            echo "error: both $name and $file are set (but are exclusive)" >&2
            exit 1
        fi
        value=$(<"${!file}")
    fi
    export "$name=$value"
    unset "$file"
}

run_scripts() {
    local script
    for script in /docker-entrypoint-initdb.d/*; do
        case "$script" in
            *.sql) psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --file "$script" ;;
            *.sh) bash "$script" ;;
        esac
    done
}

make_cluster() {
    # shellcheck disable=SC2086  # the arguments are words
    initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") ${POSTGRES_INITDB_ARGS:-}
    printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >> "$PGDATA/pg_hba.conf"

    # local only: nobody may connect before the database is there
    pg_ctl --wait -o "-c listen_addresses=''" start
    if [ "$POSTGRES_DB" != postgres ]; then
        psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" --dbname postgres \
            --set database="$POSTGRES_DB" <<< 'CREATE DATABASE :"database"'
    fi
    run_scripts
    pg_ctl --wait --mode fast stop
    echo "PostgreSQL init process complete; ready for start up."
}

case "$1" in
    -*) set -- postgres "$@" ;; # docker run postgres:17-trixie -c name=value
    postgres) ;;
    *) exec "$@" ;;
esac

# before root is given up: a secret's file may be root's alone
from_file POSTGRES_PASSWORD
from_file POSTGRES_USER postgres
from_file POSTGRES_DB "$POSTGRES_USER"

if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    find "$PGDATA" ! -user postgres -exec chown postgres: '{}' +
    chmod 700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    if [ -z "$POSTGRES_PASSWORD" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
        echo "error: Database is uninitialized and superuser password is not specified: set POSTGRES_PASSWORD" >&2
        exit 1
    fi
    make_cluster
fi
exec "$@"
