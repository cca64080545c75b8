#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"
export PYTHONUNBUFFERED=1
: "${WORKERS:=2}"
exec ./venv/bin/gunicorn \
  --bind "0.0.0.0:8000" \
  --workers "${WORKERS}" \
  --threads 8 \
  --timeout 45 \
  --graceful-timeout 45 \
  --keep-alive 30 \
  shop.wsgi:application
