"""Every *must*, *must not* and *should* of the specifications, with the rules that check it.

`SENTENCES` is the other direction of the tables: a rule says what a validator checks, a sentence says why it may. A
sentence without a rule has the reason why nothing here can see a violation. ``docs/sentences.md`` is made from it, and
the tests hold that an error has a *must* or a definition behind it.

The words of a sentence are the few that identify it in its section. They are not the sentence: read that in the
specification.

Sources: PEP 3333; ASGI 3.0 with HTTP & WebSocket 2.5, lifespan 2.0, TLS 0.2 and the extensions; the RFCs by number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gateway.rules._sentences_asgi import ASGI
from gateway.rules._sentences_asgi_http import ASGI_HTTP
from gateway.rules._sentences_rfc import RFC
from gateway.rules._sentences_wsgi import WSGI
from gateway.rules.tables import RULES

__all__ = ["SENTENCES", "Force", "Sentence", "places"]

#: ``must``: *must*, *must not*, *shall*, *cannot*, *is forbidden*, *is required*, *is a fatal error*. ``should``:
#: *should*, *should not*. ``is``: a definition, such as the type of a value, that leaves no choice.
Force = Literal["must", "should", "is"]
_FORCES: dict[str, Force] = {"must": "must", "should": "should", "is": "is"}


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a specification.

    Attributes:
        source: Specification and section.
        words: A few words that identify the sentence in its section.
        force: Whether it is a *must*, a *should* or a definition.
        side: The side that it binds; ``"-"`` if it binds no side of a request.
        rules: Ids of the rules that check it.
        reason: Why no rule can see a violation, or the part of it that no rule sees; empty if the rules see all of it.
    """

    source: str
    words: str
    force: Force
    side: str
    rules: tuple[str, ...]
    reason: str = ""


def _read() -> Iterator[Sentence]:
    for specification in (WSGI, ASGI, ASGI_HTTP, RFC):
        for source, rows in specification:
            for force, side, words, rules, *reason in rows:
                yield Sentence(source, words, _FORCES[force], side, tuple(rules.split()), *reason)


#: Every sentence, in the order of the specifications.
SENTENCES: tuple[Sentence, ...] = tuple(_read())


def places(sentence: Sentence) -> tuple[str, ...]:
    """Return the observers that see a violation, as `Rule.seen` names them, in the order of the rules."""
    return tuple(dict.fromkeys(RULES[rule].seen for rule in sentence.rules))
