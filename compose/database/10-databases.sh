#!/usr/bin/env bash
# Runs once, on an empty data directory: creates the databases of Graasp and umami, each with an owner of the same name.
set -euo pipefail

create() { # create NAME PASSWORD
  psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --set=name="$1" --set=password="$2" --dbname=postgres <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
}

create graasp "$(cat "$GRAASP_DB_PASSWORD_FILE")"
create umami "$(cat "$UMAMI_DB_PASSWORD_FILE")"
