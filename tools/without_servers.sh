#!/usr/bin/env bash
# Runs a command with settings that reach no server: for what reads the code and not a row.
set -euo pipefail
cd "$(dirname "$0")/.."
export DATABASE_URL='postgresql://nobody@/x?host=/nowhere' MIGRATE_DATABASE_URL='postgresql://owner@/x?host=/nowhere' CELERY_BROKER_URL=redis:// \
  COUNTERSIGN_EMBEDDED=1 SECRET_KEY=$(printf 'no-secret-%.0s' {1..6}) SEED_KEYS=$(printf '00%.0s' {1..32}) SIGNING_KEY_FILE=/dev/null
exec "$@"
