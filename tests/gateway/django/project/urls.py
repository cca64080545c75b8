from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.core.signals import request_finished, request_started
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

#: Signals of this process, by name and sender.
signals: Counter[str] = Counter()
#: The thread of the last ``request_finished``, and of the view before it.
threads: dict[str, str] = {}


def _started(sender: type, **more: Any) -> None:
    signals[f"started {sender.__name__}"] += 1


def _finished(sender: type, **more: Any) -> None:
    signals[f"finished {sender.__name__}"] += 1
    threads["finished"] = threading.current_thread().name


request_started.connect(_started)
request_finished.connect(_finished)


def kind(request: HttpRequest) -> HttpResponse:
    return HttpResponse(type(request).__name__)


def note(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO note VALUES (%s)", [request.GET.get("text", "")])
    if "fail" in request.GET:
        raise RuntimeError("after the insert")
    return HttpResponse("written")


def count(request: HttpRequest) -> JsonResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM note")
        return JsonResponse({"notes": cursor.fetchone()[0], "atomic": connection.in_atomic_block})


def signalled(request: HttpRequest) -> JsonResponse:
    return JsonResponse(signals)


def same_thread(request: HttpRequest) -> JsonResponse:
    """Whether the response before this one was closed in the thread of its view."""
    before = threads.get("view") == threads.get("finished")
    threads["view"] = threading.current_thread().name
    return JsonResponse({"before": before})


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[str]:
        yield "one "
        yield "two"

    return StreamingHttpResponse(parts(), content_type="text/plain")


@transaction.non_atomic_requests  # Django has no transactions for asynchronous views
async def live(request: HttpRequest) -> HttpResponse:
    return HttpResponse(type(request).__name__)


def host(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{request.scheme}://{request.get_host()}{request.get_full_path()}")


urlpatterns = [
    path("kind/", kind),
    path("note/", note),
    path("count/", count),
    path("signals/", signalled),
    path("thread/", same_thread),
    path("stream/", stream),
    path("live/kind/", live),
    path("host/", host),
]
