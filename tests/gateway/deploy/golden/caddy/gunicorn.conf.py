# Made by: gateway generate caddy --set application=shop:app --set hosts=shop.example.com --set name=shop (anytier VERSION)
"""Gunicorn for shop:app. The rule of each value is in the comment beside it."""

import os

from gateway.servers.gunicorn_hooks import *  # noqa: F403  # startup, drain, metrics and idle connections

wsgi_app = "shop:app"
# The socket unit holds the socket and gives it to Gunicorn, so that a restart refuses no connection (R28).
bind = os.environ.get("BIND", "unix:/run/shop/shop.sock")
umask = 0o007  # R28: without the unit, the socket is open to the group of the proxy
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))  # R33
threads = 8
keepalive = 75  # R1: longer than Caddy keeps an idle connection
timeout = 60  # R8: shorter than the proxy waits; it replaces a worker that hangs
graceful_timeout = 35  # R5: drain 10 s and the longest request 25 s
max_requests = 0  # R31: replacing workers loses requests of kept connections
backlog = 512  # R11: a short queue refuses early
limit_request_line = 8190  # R18: not below the proxy's limit
limit_request_field_size = 8190  # R18
worker_tmp_dir = "/dev/shm"  # R39: the heartbeat does not wait for a disk
control_socket_disable = True  # R39: it would be written into the home folder
preload_app = False  # R32
# R25: the chain's ProxyHeaders decides about addresses.
forwarded_allow_ips = "127.0.0.1,::1"
accesslog = None  # R42: the chain's AccessLog writes it
errorlog = "-"
proc_name = "shop"
