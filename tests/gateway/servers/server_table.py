"""The tables of ``docs/reference/servers.md``, from the descriptions themselves.

``python -m tests.gateway.servers.server_table`` writes them into the page.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from gateway import servers
from gateway.servers import Capabilities, Server

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "servers.md"
BEGIN, END = "<!-- begin: from gateway.servers -->", "<!-- end -->"
FLAGS = (
    "unix_socket",
    "inherited_socket",
    "workers",
    "threads",
    "reload",
    "websocket",
    "hands_over_socket",
    "serves_asgi",
    "lifespan",
    "http2",
    "http3",
    "pathsend",
    "trailers",
    "early_hints",
    "streaming",
    "expect_continue",
    "keep_alive",
    "latin_headers",
    "raw_path",
    "drains",
)


def rows() -> Iterator[str]:
    known = [servers.get(name) for name in servers.names()]
    yield "| server | interface | install | stop signal | chunked upload | header order |"
    yield "|---|---|---|---|---|---|"
    for server in known:
        can = server.capabilities
        install = f"`{server.requirement}`" if server.requirement else "Python"
        yield (
            f"| `{server.name}` | {server.interface.upper()} | {install} | {server.stop_signal.name} "
            f"| {can.chunked_upload} | {can.header_order} |"
        )
    yield ""
    for flags in (FLAGS[:11], FLAGS[11:]):  # a page has no room for more columns
        yield "| server | " + " | ".join(flag.replace("_", " ") for flag in flags) + " |"
        yield "|---" * (len(flags) + 1) + "|"
        for server in known:
            yield f"| `{server.name}` | " + " | ".join(_mark(server, flag) for flag in flags) + " |"
        yield ""
    for server in known:
        if server.quirks:
            yield f"`{server.name}`"
            yield from (f"{':' if not at else ' '} {quirk}" for at, quirk in enumerate(server.quirks))
            yield ""


def _mark(server: Server, flag: str) -> str:
    assert flag in {field.name for field in dataclasses.fields(Capabilities)}
    return "yes" if getattr(server.capabilities, flag) else "–"


def generated() -> str:
    return "\n".join([BEGIN, "", *rows()]).rstrip() + f"\n\n{END}\n"


def main() -> None:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END + "\n")
    PAGE.write_text(before + generated() + after, encoding="utf-8")


if __name__ == "__main__":
    main()
