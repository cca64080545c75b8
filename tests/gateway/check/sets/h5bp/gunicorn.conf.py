import multiprocessing
import os

_host, _port = os.environ.get("HOST", "127.0.0.1"), os.environ.get("PORT", "8001")
bind = os.getenv("BIND") or f"{_host}:{_port}"
_web_concurrency = os.getenv("WEB_CONCURRENCY")
workers = int(_web_concurrency) if _web_concurrency else max(multiprocessing.cpu_count(), 2)
if os.getenv("MAX_WORKERS"):
    workers = min(workers, int(os.environ["MAX_WORKERS"]))
timeout = int(os.getenv("TIMEOUT", "30"))
graceful_timeout = int(os.getenv("GRACEFUL_TIMEOUT", "30"))
keepalive = int(os.getenv("KEEP_ALIVE", "30"))
worker_tmp_dir = "/dev/shm"
loglevel = os.getenv("LOG_LEVEL", "info")
logconfig_dict = {"version": 1, "handlers": {}}
