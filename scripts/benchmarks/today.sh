#!/usr/bin/env bash
# What people type today: down, run the migrations, up. There is no `pull`, because the images are already on the machine.
# Arguments as in floor.sh.
set -euo pipefail
project=$1
shift
compose=(docker compose "$@")
"${compose[@]}" down >/dev/null 2>&1
"${compose[@]}" run --rm --quiet-pull migrate >/dev/null 2>&1
"${compose[@]}" --profile "" up --detach --wait db umami redis meilisearch core workers nginx >/dev/null 2>&1
