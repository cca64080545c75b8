from fastapi import FastAPI

from gateway import Gateway
from gateway.middleware import BodyLimit, Health, ProxyHeaders, RequestId, TrustedHost

MAX_BODY = 2 * 1024 * 1024
api = FastAPI()
app = Gateway(
    api,
    middleware=[
        Health(),
        ProxyHeaders(trust=["172.16.0.0/12"]),
        RequestId(),
        TrustedHost(allowed=["api.example.net"]),
        BodyLimit(max_bytes=MAX_BODY),
    ],
)
