from shop.django import application as django

from gateway import Gateway
from gateway.middleware import Health, behind_load_balancer

application = Gateway(
    django,
    middleware=behind_load_balancer(
        hosts=("shop.example.de", "www.shop.example.de"),
        trust=("10.9.0.0/24",),
        hops=1,
        https_redirect=None,
        max_bytes=4 * 2**20,
        health=Health(drain_seconds=8),
    ),
)
