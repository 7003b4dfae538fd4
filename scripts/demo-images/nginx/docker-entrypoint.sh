#!/usr/bin/env bash
set -euo pipefail
if [[ $1 == nginx ]]; then
  for file in /docker-entrypoint.d/*; do
    case $file in
    *.envsh) if [[ -x $file ]]; then . "$file"; fi ;;
    *.sh) if [[ -x $file ]]; then "$file"; fi ;;
    esac
  done
  # Only variables that exist are substituted: nginx's own $variables stay.
  defined=$(awk 'BEGIN { for (name in ENVIRON) if (name ~ /^[A-Za-z_][A-Za-z0-9_]*$/) printf "${%s} ", name }')
  mkdir -p /etc/nginx/conf.d
  for template in /etc/nginx/templates/*.template; do
    [[ -e $template ]] || continue
    output=/etc/nginx/conf.d/$(basename "$template" .template)
    envsubst "$defined" <"$template" >"$output"
  done
fi
exec "$@"
