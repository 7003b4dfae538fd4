#!/usr/bin/env bash
# The floor: the least that a deployment with a migration must do, in the shortest commands, without checks, verification or backup.
# Arguments: the project, then everything between `docker compose` and its verb, for the new version.
set -euo pipefail
project=$1
shift
compose=(docker compose "$@")
gate=/var/lib/graasp-gate/open
docker exec "$project-nginx-1" ln -sfn away "$gate"
docker stop "$project-core-1" "$project-workers-1" "$project-redis-1" "$project-meilisearch-1" >/dev/null
docker exec -u postgres "$project-db-1" psql -qc 'CREATE DATABASE bench_snapshot TEMPLATE graasp STRATEGY file_copy'
"${compose[@]}" run --rm --no-deps --quiet-pull migrate >/dev/null 2>&1
"${compose[@]}" up --detach --no-deps --wait redis meilisearch core workers >/dev/null 2>&1
docker exec "$project-nginx-1" sh -c "rm -f $gate && echo open >$gate"
