#!/usr/bin/env bash
# First start on an empty data directory: make the cluster, run /docker-entrypoint-initdb.d, then serve.
set -euo pipefail

as_postgres() { if [[ $(id -u) == 0 ]]; then setpriv --reuid=postgres --regid=postgres --init-groups "$@"; else "$@"; fi; }

initialize() {
  local user=${POSTGRES_USER:-postgres} database=${POSTGRES_DB:-${POSTGRES_USER:-postgres}} file
  if [[ -n ${POSTGRES_PASSWORD_FILE:-} ]]; then POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE"); fi
  if [[ -z ${POSTGRES_PASSWORD:-} ]]; then
    echo "POSTGRES_PASSWORD is not set: refusing to create a database server without one." >&2
    exit 1
  fi
  local password_file=/tmp/password
  install --owner=postgres --mode=0600 /dev/null "$password_file"
  printf '%s\n' "$POSTGRES_PASSWORD" >"$password_file"
  as_postgres initdb --username="$user" --pwfile="$password_file" --auth-local=trust --auth-host=scram-sha-256
  rm "$password_file"
  printf 'host all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
  # The temporary server listens on its socket only, so that no client takes it for the real one.
  as_postgres pg_ctl --pgdata="$PGDATA" --wait --options="-c listen_addresses='' -p 5432" start
  export PGUSER=$user PGHOST=/var/run/postgresql
  if [[ $database != postgres ]]; then psql --dbname=postgres --command="CREATE DATABASE \"$database\""; fi
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
    *.sh) if [[ -x $file ]]; then "$file"; else . "$file"; fi ;;
    *.sql) psql --set=ON_ERROR_STOP=1 --no-psqlrc --dbname="$database" --file="$file" ;;
    esac
  done
  as_postgres pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop
  unset PGUSER PGHOST
}

if [[ ${1:-} == postgres ]]; then
  if [[ $(id -u) == 0 ]]; then
    mkdir -p "$PGDATA"
    chown -R postgres: "$PGDATA" /var/run/postgresql
    chmod 0700 "$PGDATA"
  fi
  if [[ ! -s $PGDATA/PG_VERSION ]]; then initialize; fi
  set -- "$@" -c listen_addresses='*'
  if [[ $(id -u) == 0 ]]; then exec setpriv --reuid=postgres --regid=postgres --init-groups "$@"; fi
fi
exec "$@"
