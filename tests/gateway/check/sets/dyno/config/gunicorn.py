"""Heroku's dyno."""

from os import environ as env

port = env.get("PORT", "8000")
bind = [f"0.0.0.0:{port}"]
workers = int(env.get("WEB_CONCURRENCY", 2))
threads = int(env.get("GUNICORN_THREADS", 6))
worker_class = "gthread"
keepalive = 95
timeout = 25
graceful_timeout = 20
max_requests, max_requests_jitter = 20000, 2000
worker_tmp_dir = "/dev/shm"


def worker_abort(worker):
    worker.log.warning("aborted")
