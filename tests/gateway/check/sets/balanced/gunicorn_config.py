import multiprocessing
import os

bind = "0.0.0.0:" + os.getenv("PORT", "8000")
workers = 4
threads = 2
worker_class = "gthread"
keepalive = 10
timeout = 40
graceful_timeout = 50
accesslog = "-"
max_requests = 20_000
max_requests_jitter = max_requests // 10


def on_starting(server):
    print("starting", multiprocessing.current_process().name)
