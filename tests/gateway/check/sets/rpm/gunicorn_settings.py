import logging
import multiprocessing
import os


def _int(name, default):
    """Read an integer from the environment."""
    return int(os.getenv(name, default))


def on_starting(server):
    logging.getLogger("gunicorn.error").info("payroll starts")


def post_fork(server, worker):
    server.log.info("worker %s", worker.pid)


bind = "unix:/run/payroll/web.sock"
umask = 0o117
workers = min(multiprocessing.cpu_count() * 2 + 1, 9)
worker_class = "gthread"
threads = 6
timeout = 120
graceful_timeout = 120
keepalive = 60
max_requests = 50000
max_requests_jitter = 5000
worker_tmp_dir = "/dev/shm"
forwarded_allow_ips = "127.0.0.1"
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
accesslog = None
limit_request_line = 8190
limit_request_field_size = 8190
