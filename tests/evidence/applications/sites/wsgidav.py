"""WsgiDAV: a shared folder over WebDAV, with users, locks, properties and the folder browser."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path

from tests.evidence.applications.script import TOKEN, Application, Step, Volatile

__all__ = ["APPLICATION"]

_TEXT = b"Der Tag, an dem die Farbe kam.\r\n" * 4000
_LOGIN = ("Authorization", f"Basic {b64encode(b'ada:countess').decode()}")
_WRONG = ("Authorization", f"Basic {b64encode(b'ada:lady').decode()}")
_MTIME = ("X-OC-Mtime", "1000000000")
_PROPFIND = b'<?xml version="1.0"?><propfind xmlns="DAV:"><allprop/></propfind>'
_PROPPATCH = (
    b'<?xml version="1.0"?><propertyupdate xmlns="DAV:" xmlns:x="urn:x">'
    b"<set><prop><x:colour>blau &#252;</x:colour></prop></set></propertyupdate>"
)
_LOCK = (
    b'<?xml version="1.0"?><lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype>'
    b"<owner>ada</owner></lockinfo>"
)


def _prepare(folder: Path) -> None:
    share = folder / "share"
    (share / "Bücher").mkdir(parents=True)
    (share / "Bücher" / "farbe.txt").write_bytes(_TEXT)
    for path in (share / "Bücher" / "farbe.txt", share / "Bücher"):
        os.utime(path, (1_000_000_000, 1_000_000_000))


def _build(folder: Path) -> object:
    from wsgidav.wsgidav_app import WsgiDAVApp

    return WsgiDAVApp(
        {
            "provider_mapping": {"/": str(folder / "share")},
            "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
            "simple_dc": {"user_mapping": {"*": {"ada": {"password": "countess"}}}},
            "property_manager": True,
            "honor_mtime_header": True,
            "verbose": 1,
            "logging": {"enable_loggers": []},
        }
    )


APPLICATION = Application(
    title="WsgiDAV",
    packages=("wsgidav",),
    modules=("wsgidav",),
    interface="wsgi",
    prepare=_prepare,
    build=_build,
    token="(opaquelocktoken:[0-9a-fx]+)",
    volatile=(
        Volatile(
            name="inode-and-time",
            where="etag",
            pattern=r'^(?P<keep>")\d+-\d+(?P<rest>-\d+")',
            reason="WsgiDAV's validators contain the inode and the time of a file, and each run creates new files.",
        ),
        Volatile(
            name="inode-and-time",
            where="body",
            pattern=r"(?P<keep>getetag>)\d+-\d+(?P<rest>-\d+)",
            reason="WsgiDAV's validators contain the inode and the time of a file, and each run creates new files.",
        ),
        Volatile(
            name="time",
            where="body",
            pattern=r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+|\w{3}, \d+ \w+ \d{4} [\d:]{8} GMT(?=</)",
            reason="WsgiDAV writes the time of the response into its pages.",
        ),
        Volatile(
            name="time",
            where="body",
            pattern="(?P<keep>creationdate>)[^<]+",
            reason="Each run creates new files.",
        ),
        Volatile(
            name="disk",
            where="body",
            pattern=r"(?P<keep>quota-(used|available)-bytes>)\d+",
            reason="The list of a folder shows the free space of the disk.",
        ),
        Volatile(
            name="lock",
            where="lock-token",
            pattern="(?P<keep>opaquelocktoken:)[0-9a-fx]+",
            reason="WsgiDAV creates the tokens of locks at random.",
        ),
        Volatile(
            name="lock",
            where="body",
            pattern="(?P<keep>opaquelocktoken:)[0-9a-fx]+",
            reason="WsgiDAV creates the tokens of locks at random.",
        ),
    ),
    instead={
        "login": "WebDAV has no form: a 401 response asks for a name and a password (RFC 7617), and the client sends "
        "them.",
        "upload": "A file is sent as the body of PUT, with a length and in chunks.",
    },
    steps=(
        Step(name="who are you", path="/", status=401, shows=b"401"),
        Step(name="wrong password", path="/", headers=(_WRONG,), status=401),
        Step(name="login, the folder browser", path="/", headers=(_LOGIN,), status=200, duty="login"),
        Step(name="options", method="OPTIONS", path="/", headers=(_LOGIN,), status=200),
        Step(
            name="list",
            method="PROPFIND",
            path="/B%C3%BCcher",
            headers=(_LOGIN, ("Depth", "1"), ("Content-Type", "application/xml")),
            body=_PROPFIND,
            status=207,
            shows=b"farbe.txt",
        ),
        Step(
            name="upload",
            method="PUT",
            path="/B%C3%BCcher/neu.txt",
            headers=(_LOGIN, _MTIME, ("Content-Type", "text/plain")),
            body=_TEXT,
            status=201,
            duty="upload",
        ),
        Step(
            name="upload in chunks",
            method="PUT",
            path="/B%C3%BCcher/chunks.txt",
            headers=(_LOGIN, _MTIME),
            body=_TEXT,
            chunked=True,
            status=201,
        ),
        Step(name="uploaded file", path="/B%C3%BCcher/chunks.txt", headers=(_LOGIN,), status=200, shows=_TEXT),
        Step(name="head", method="HEAD", path="/B%C3%BCcher/farbe.txt", headers=(_LOGIN,), status=200),
        Step(
            name="range",
            path="/B%C3%BCcher/farbe.txt",
            headers=(_LOGIN, ("Range", "bytes=100-299")),
            status=206,
            duty="range",
        ),
        Step(
            name="range of the end",
            path="/B%C3%BCcher/farbe.txt",
            headers=(_LOGIN, ("Range", "bytes=-100")),
            status=206,
        ),
        Step(
            name="range past the end",
            path="/B%C3%BCcher/farbe.txt",
            headers=(_LOGIN, ("Range", "bytes=999999-")),
            status=416,
        ),
        Step(
            name="properties",
            method="PROPPATCH",
            path="/B%C3%BCcher/neu.txt",
            headers=(_LOGIN, ("Content-Type", "application/xml")),
            body=_PROPPATCH,
            status=207,
        ),
        Step(
            name="lock",
            method="LOCK",
            path="/B%C3%BCcher/neu.txt",
            headers=(_LOGIN, ("Timeout", "Second-600"), ("Content-Type", "application/xml")),
            body=_LOCK,
            status=200,
        ),
        Step(
            name="upload without the lock",
            method="PUT",
            path="/B%C3%BCcher/neu.txt",
            headers=(_LOGIN, _MTIME),
            body=b"locked out",
            status=423,
        ),
        Step(
            name="upload with the lock",
            method="PUT",
            path="/B%C3%BCcher/neu.txt",
            headers=(_LOGIN, _MTIME, ("If", f"(<{TOKEN}>)")),
            body=b"let in",
            status=204,
        ),
        Step(
            name="unlock",
            method="UNLOCK",
            path="/B%C3%BCcher/neu.txt",
            headers=(_LOGIN, ("Lock-Token", f"<{TOKEN}>")),
            status=204,
        ),
        Step(
            name="copy",
            method="COPY",
            path="/B%C3%BCcher/farbe.txt",
            headers=(_LOGIN, ("Destination", "/B%C3%BCcher/f%C3%A4rbe%20%282%29.txt")),
            status=201,
        ),
        Step(name="make a folder", method="MKCOL", path="/Bilder", headers=(_LOGIN,), status=201),
        Step(
            name="move to where nothing is",
            method="MOVE",
            path="/B%C3%BCcher/neu.txt",
            headers=(_LOGIN, ("Destination", "/nowhere/neu.txt")),
            status=409,
        ),
        Step(name="delete", method="DELETE", path="/B%C3%BCcher/neu.txt", headers=(_LOGIN,), status=204),
        Step(name="not found", path="/nowhere", headers=(_LOGIN,), status=404, duty="error"),
        Step(
            name="XML that is none",
            method="PROPFIND",
            path="/",
            headers=(_LOGIN, ("Depth", "0"), ("Content-Type", "application/xml")),
            body=b"<propfind",
            status=400,
        ),
    ),
)
