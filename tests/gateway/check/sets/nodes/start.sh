#!/bin/bash
set -euo pipefail
cd /app
mkdir -p "$PROMETHEUS_MULTIPROC_DIR"
exec gunicorn \
  --bind 0.0.0.0:8000 \
  --worker-class=gthread --workers=2 --threads=16 \
  --timeout=30 --graceful-timeout=30 --keep-alive=40 \
  --limit-request-line=8190 \
  app:create_app\(\)
