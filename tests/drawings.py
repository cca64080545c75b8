"""Draw the deployments: a row of boxes and arrows for each page, light and dark. ``python -m tests.drawings``.

A drawing is a table here and a file in `docs/drawings`, so that all have one style. The sizes follow from the texts;
`tests/test_site.py` measures in a browser that no text leaves its drawing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

__all__ = ["DRAWINGS", "FOLDER", "Box", "Drawing", "Row", "draw", "main"]

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "drawings"
#: The style of every drawing; `docs/_static/site.css` gives the colours of the page.
STYLE = FOLDER.joinpath("layers.svg").read_text(encoding="utf-8").partition("<style>")[2].partition("</style>")[0]

#: Pixels of a character in each size of the style, on the wide side.
_TEXT, _SOFT, _CODE = 8.4, 7.1, 8.0
_PAD, _LINE, _MARGIN = 12, 19, 10


@dataclass(frozen=True)
class Box:
    """A program.

    Attributes:
        title: Its name.
        lines: Its duties and numbers.
        code: The preset of its chain; a box with one runs the application.
        copies: Several run.
    """

    title: str
    lines: tuple[str, ...] = ()
    code: str = ""
    copies: bool = False

    @property
    def width(self) -> float:
        """Width in pixels."""
        texts = [len(self.title) * _TEXT, *(len(line) * _SOFT for line in self.lines), len(self.code) * _CODE + 12]
        return max(96, round(max(texts) + 2 * _PAD))

    @property
    def height(self) -> float:
        """Height in pixels."""
        return 46 + _LINE * len(self.lines) + (40 if self.code else 0)


@dataclass(frozen=True)
class Row:
    """Boxes from left to right.

    Attributes:
        boxes: The boxes.
        arrows: The text above each arrow between them.
        frame: First and last box of a frame, and its name; None without one.
        title: Heading of the row, if there are several.
    """

    boxes: tuple[Box, ...]
    arrows: tuple[str, ...]
    frame: tuple[int, int, str] | None = None
    title: str = ""

    def gap(self, index: int) -> float:
        """Return the width of an arrow."""
        into_frame = self.frame is not None and self.frame[0] == index + 1
        return max(56, round(len(self.arrows[index]) * _SOFT) + 18) + (16 if into_frame else 0)

    @property
    def width(self) -> float:
        """Width in pixels."""
        return sum(box.width for box in self.boxes) + sum(self.gap(index) for index in range(len(self.arrows)))

    @property
    def height(self) -> float:
        """Height in pixels, with its heading and its frame."""
        return max(box.height for box in self.boxes) + (26 if self.title else 0) + (48 if self.frame else 16)


@dataclass(frozen=True)
class Drawing:
    """A drawing.

    Attributes:
        title: Its name.
        label: Description for screen readers.
        rows: Its rows.
    """

    title: str
    label: str
    rows: tuple[Row, ...]


_CLIENTS = Box("clients")
_BY_SOCKET = ("TLS", "unix socket")

DRAWINGS: dict[str, Drawing] = {
    "deploy-nginx": Drawing(
        "NGINX and Gunicorn",
        "Clients speak TLS to NGINX, which passes requests on to Gunicorn by a unix socket on the same machine.",
        (
            Row(
                (
                    _CLIENTS,
                    Box("NGINX", ("ends TLS", "waits for slow clients", "limits bodies", "compresses, serves files")),
                    Box("Gunicorn", ("runs the application", "keeps connections 75 s"), "behind_nginx(...)"),
                ),
                _BY_SOCKET,
                (1, 2, "one machine"),
            ),
        ),
    ),
    "deploy-haproxy-nginx": Drawing(
        "HAProxy, NGINX and Gunicorn",
        "Clients speak TLS to HAProxy, which spreads requests over nodes; on each, NGINX passes them on to Gunicorn.",
        (
            Row(
                (
                    _CLIENTS,
                    Box("HAProxy", ("ends TLS", "spreads requests")),
                    Box("NGINX", ("trusts balancers=", "waits for slow clients"), copies=True),
                    Box("Gunicorn", ("runs the application",), "behind_nginx(...)", copies=True),
                ),
                ("TLS", "HTTP", "unix socket"),
                (2, 3, "each node"),
            ),
        ),
    ),
    "deploy-gunicorn": Drawing(
        "Gunicorn alone",
        "A platform's router passes requests on to Gunicorn, or clients call Gunicorn without anything in front.",
        (
            Row(
                (
                    Box("router of a platform", ("ends TLS",)),
                    Box("Gunicorn", ("port 8000",), "behind_load_balancer(...)"),
                ),
                ("HTTP",),
                title="behind a platform",
            ),
            Row(
                (Box("other services", ("of the same network",)), Box("Gunicorn", ("port 8000",), "edge(...)")),
                ("HTTP",),
                title="nothing in front",
            ),
        ),
    ),
    "deploy-haproxy": Drawing(
        "HAProxy as load balancer",
        "Clients speak TLS to HAProxy, which asks each node for its health and spreads requests over the nodes.",
        (
            Row(
                (
                    _CLIENTS,
                    Box("HAProxy", ("ends TLS", "asks /readyz every 3 s", "fewest connections first")),
                    Box(
                        "Gunicorn",
                        ("drains 10 s before it stops", "one restarts at a time"),
                        "behind_load_balancer(...)",
                        copies=True,
                    ),
                ),
                ("TLS", "HTTP"),
                (2, 2, "two nodes or more"),
            ),
        ),
    ),
    "deploy-caddy": Drawing(
        "Caddy and Gunicorn",
        "Clients speak TLS to Caddy, which passes requests on to Gunicorn by a unix socket on the same machine.",
        (
            Row(
                (
                    _CLIENTS,
                    Box("Caddy", ("gets certificates", "ends TLS", "limits bodies")),
                    Box("Gunicorn", ("runs the application", "waits for bodies itself"), "behind_nginx(...)"),
                ),
                _BY_SOCKET,
                (1, 2, "one machine"),
            ),
        ),
    ),
    "deploy-kubernetes": Drawing(
        "Kubernetes",
        "A Gateway or an Ingress passes requests on to the Service, and the Service to Gunicorn in one of the pods.",
        (
            Row(
                (
                    _CLIENTS,
                    Box("Gateway or Ingress", ("ends TLS",)),
                    Box("Service", ("port 80",)),
                    Box(
                        "Gunicorn",
                        ("port 8000", "/startupz /readyz /livez", "sleeps 10 s before it stops"),
                        "behind_load_balancer(...)",
                        copies=True,
                    ),
                ),
                ("TLS", "HTTP", "HTTP"),
                (3, 3, "pods"),
            ),
        ),
    ),
    "deploy-docker": Drawing(
        "A container",
        "A proxy passes requests on to Gunicorn, which is process 1 of a container.",
        (
            Row(
                (
                    Box("proxy", ("or load balancer",)),
                    Box(
                        "Gunicorn",
                        ("process 1, gets SIGTERM itself", "user 10001, read-only files", "50 s to stop"),
                        "behind_load_balancer(...)",
                    ),
                ),
                ("HTTP, port 8000",),
                (1, 1, "container"),
            ),
        ),
    ),
    "deploy-systemd": Drawing(
        "Gunicorn under systemd",
        "A proxy connects to a unix socket that systemd holds; systemd hands it to Gunicorn, also after a restart.",
        (
            Row(
                (
                    Box("proxy"),
                    Box("shop.socket", ("held by systemd", "connections wait here")),
                    Box("shop.service", ("Gunicorn", "a restart refuses nothing"), "behind_nginx(...)"),
                ),
                ("unix socket", "hands it over"),
                (1, 2, "systemd"),
            ),
        ),
    ),
    "deploy-iis": Drawing(
        "IIS",
        "Clients speak TLS to IIS, which starts waitress by HttpPlatformHandler and passes requests on to it.",
        (
            Row(
                (
                    _CLIENTS,
                    Box("IIS", ("ends TLS", "limits bodies", "starts waitress")),
                    Box("waitress", ("127.0.0.1, a port of IIS", "16 threads"), "behind_load_balancer(...)"),
                ),
                ("TLS", "HTTP"),
                (1, 2, "Windows"),
            ),
        ),
    ),
    "deploy-platforms": Drawing(
        "A cloud load balancer",
        "Clients speak TLS to the platform's load balancer, which passes requests on to several instances.",
        (
            Row(
                (
                    _CLIENTS,
                    Box("load balancer", ("ends TLS", "adds X-Forwarded-For", "asks /readyz")),
                    Box(
                        "any server",
                        ("keeps connections longer", "than the balancer", "drains after SIGTERM"),
                        "behind_load_balancer(...)",
                        copies=True,
                    ),
                ),
                ("TLS", "HTTP"),
                (2, 2, "instances"),
            ),
        ),
    ),
    "deploy-granian": Drawing(
        "uvicorn or granian",
        "A proxy passes requests on to two instances of uvicorn or granian, which restart one after the other.",
        (
            Row(
                (
                    _CLIENTS,
                    Box("proxy", ("ends TLS",)),
                    Box(
                        "uvicorn or granian",
                        ("two instances", "one restarts at a time"),
                        "behind_nginx(...)",
                        copies=True,
                    ),
                ),
                ("TLS", "HTTP"),
            ),
        ),
    ),
}


def _text(x: float, y: float, text: str, *classes: str) -> str:
    names = f' class="{" ".join(classes)}"' if classes else ""
    return f'<text{names} x="{x:g}" y="{y:g}">{escape(text)}</text>'


def _rect(kind: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"/>'


def _box(box: Box, x: float, y: float, height: float) -> Iterator[str]:
    kind = "ours" if box.code else "box"
    if box.copies:
        yield _rect(kind, x + 6, y - 6, box.width, height)
    yield _rect(kind, x, y, box.width, height)
    middle = x + box.width / 2
    yield _text(middle, y + 28, box.title, "mid")
    for number, line in enumerate(box.lines):
        yield _text(middle, y + 50 + _LINE * number, line, "mid", "soft")
    if box.code:
        yield _rect("box", x + 6, y + height - 38, box.width - 12, 32)
        yield _text(middle, y + height - 17, box.code, "mid", "code")


def _arrow(text: str, x: float, y: float, width: float, *, into_frame: bool) -> Iterator[str]:
    yield f'<path class="line" d="M{x:g} {y:g}L{x + width - 2:g} {y:g}"/>'
    yield f'<path class="head" d="M{x + width - 2:g} {y:g}l-9 -4.5v9z"/>'
    yield _text(x + width / 2 - (10 if into_frame else 2), y - 8, text, "mid", "soft")


def _row(row: Row, top: float) -> Iterator[str]:
    if row.title:
        yield _text(_MARGIN, top + 14, row.title, "bold")
        top += 26
    y = top + (34 if row.frame else 8)
    tallest = max(box.height for box in row.boxes)
    lefts: list[float] = []
    x: float = _MARGIN
    for index, box in enumerate(row.boxes):
        lefts.append(x)
        x += box.width + (row.gap(index) if index < len(row.arrows) else 0)
    if row.frame:
        first, last, name = row.frame
        left, right = lefts[first] - 8, lefts[last] + row.boxes[last].width + 14
        yield _rect("line dash", left, y - 16, right - left, tallest + 26)
        yield _text((left + right) / 2, y - 22, name, "mid", "soft")
    for index, box in enumerate(row.boxes):
        yield from _box(box, lefts[index], y, tallest)
        if index < len(row.arrows):
            # The line starts behind the second sheet of several boxes.
            start = lefts[index] + box.width + (6 if box.copies else 0)
            into_frame = row.frame is not None and row.frame[0] == index + 1
            yield from _arrow(
                row.arrows[index], start, y + tallest / 2, lefts[index + 1] - start, into_frame=into_frame
            )


def draw(drawing: Drawing) -> str:
    """Return the drawing as SVG."""
    width = max(row.width for row in drawing.rows) + 2 * _MARGIN + 8
    parts: list[str] = []
    top = 4.0
    for row in drawing.rows:
        parts += _row(row, top)
        top += row.height + 14
    return (
        f'<svg class="drawing" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {top:g}" '
        f'width="{width:g}" height="{top:g}" role="img" aria-label="{escape(drawing.label)}">\n'
        f"<title>{escape(drawing.title)}</title>\n<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def main() -> None:
    """Write every drawing."""
    for name, drawing in DRAWINGS.items():
        (FOLDER / f"{name}.svg").write_text(draw(drawing), encoding="utf-8")


if __name__ == "__main__":
    main()
