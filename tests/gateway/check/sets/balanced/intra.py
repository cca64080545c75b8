from flask import Flask

from gateway import Gateway
from gateway.middleware import Health, behind_load_balancer

flask = Flask(__name__)
app = Gateway(
    flask,
    middleware=behind_load_balancer(
        hosts=("intra.example.com",),
        trust=("10.0.0.1",),
        hops=1,
        https_redirect=None,
        body_limit=None,
        health=Health(drain_seconds=6),
    ),
)
