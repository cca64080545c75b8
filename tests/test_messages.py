"""Each message of the source has an entry on the page about trouble, and each entry is a message of the source."""

from __future__ import annotations

from collections import Counter

from tests.messages import MARK, PAGE, messages, render, unread

#: Files with an error or a warning that only passes on a text, and the place of that text.
PASSED_ON = {
    "gateway/chain/__init__.py": "the order rules and the limit of adapters: the page has a section about them",
    "gateway/check/measure.py": "an error of the server that is measured",
    "gateway/check/servers.py": "the reason of a server that cannot start",
    "gateway/cli/demo.py": "Server.missing",
    "gateway/cli/fetch.py": "an exception of the application",
    "gateway/cli/matrix.py": "Server.missing",
    "gateway/config.py": "an error of another module, with the file and the key before it",
    "gateway/django/__init__.py": "the warning of a missing STATIC_ROOT, whose text is in _static.py",
    "gateway/matrix/_requests.py": "an error of a file of requests, with its name before it",
    "gateway/matrix/_run.py": "an error of another module, with the target before it",
    "gateway/mount.py": "an error of application.py, with the key before it",
    "gateway/plugins.py": "an error of this module, with the name of the plug-in before it",
    "gateway/rules/_wsgi_validator.py": "a ProtocolViolation: its rule is on the page of the rules",
    "gateway/servers/__init__.py": "Server.missing",
    "gateway/servers/_running.py": "Server.missing",
    "middleware/security_headers.py": "an error of headers.py, with the name of the middleware before it",
}


def test_the_page_has_every_message_of_the_source() -> None:
    _, mark, below = PAGE.read_text(encoding="utf-8").partition(MARK)
    assert mark + below == render(), "run python -m tests.messages"


def test_an_error_without_a_text_of_its_own_is_known() -> None:
    assert set(unread()) == set(PASSED_ON)


def test_the_source_is_read() -> None:
    kinds = Counter(message.kind for message in messages())
    assert kinds["ConfigurationError"] > 200
    assert kinds["warning"] > 2
    assert kinds["log"] > 20
