from fastapi import FastAPI

from gateway import Gateway
from gateway.middleware import Health, behind_load_balancer

api = FastAPI()
app = Gateway(
    api,
    middleware=behind_load_balancer(
        hosts=["api.example.com"],
        platform="aws-alb",
        health=Health(drain_seconds=15),
        max_bytes=2 * 1024 * 1024,
    ),
)
