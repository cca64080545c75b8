"""``python -m tests.evidence.sentences FOLDER``: compare ``gateway.rules.sentences`` with the specifications.

The folder has the texts as their projects publish them, in reStructuredText: ``pep-3333.rst``, and of asgiref
``asgi.rst``, ``www.rst``, ``lifespan.rst``, ``tls.rst`` and ``extensions.rst``. The program lists each sentence with a
*must* or a *should* that the table does not have, and each entry whose words are not in its section. Some sentences
with such a word bind nobody ("servers are not required to"): `HARMLESS` has the words that identify them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.rules.sentences import SENTENCES

#: A file of the specifications, by the beginning of a sentence's source.
FILES = {
    "PEP 3333": "pep-3333.rst",
    "ASGI 3.0": "asgi.rst",
    "ASGI HTTP": "www.rst",
    "ASGI WebSocket": "www.rst",
    "ASGI lifespan": "lifespan.rst",
    "ASGI TLS": "tls.rst",
    "ASGI extensions": "extensions.rst",
}
_NORMATIVE = re.compile(
    r"\b(must|should|shall|required|forbidden|cannot|mandatory|violation|fatal error|need not|responsible|ever be|"
    r"needs to be|in charge)\b",
    re.IGNORECASE,
)
HARMLESS = (
    "no changes were made that",
    "are not proposed or required",
    "does not prescribe any",
    "otherwise obtained",
    "'appclass' is the",
    "can only be re-called",
    "byte-safe on py3",
    "are not required to have these names",
    "must be handled.)",
    "normally, this will only be true",
    "this requirement ensures that",
    "cannot be implemented in terms",
    "is required, is undefined",
    "xxx should trap",
    "it should be clear that a server",
    "do not necessarily mean",
    "need not use)",
    "making a dictionary mandatory",
    "make the application/framework responsible",
    "will typically only be updating",
)

Listed = tuple[str, str]


def _plain(text: str) -> str:
    text = re.sub(r":\w+:`\"?([^`<\"]*?)\"?(?:\s*<[^`]*>)?`", r"\1", text)
    text = re.sub(r"`([^`<]+?)(?:\s*<[^`]*>)?`_*", r"\1", text)
    return " ".join(text.replace("`", "").replace("*", "").split())


def _paragraphs(text: str) -> Iterator[tuple[str, str]]:
    """Yield each paragraph and list item with its section."""
    section = ""
    held: list[str] = []
    lines = [*text.splitlines(), ""]
    underline = re.compile(r"[=\-'~^]{3,}\s*")
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        heading = bool(line.strip()) and not line.startswith(" ") and underline.fullmatch(following) is not None
        if heading or not line.strip() or re.match(r"\s*\* ", line) or underline.fullmatch(line):
            if held:
                yield section, _plain(" ".join(held))
            held = []
        if heading:
            section = _plain(line)
        elif line.strip() and not underline.fullmatch(line):
            held.append(re.sub(r"^\s*\* ", "", line).strip())


def _sentences(text: str) -> Iterator[tuple[str, str]]:
    for section, paragraph in _paragraphs(text):
        for sentence in re.split(r"(?<=[.!:?;)])\s+(?=[A-Z(])", paragraph):
            yield section, sentence


def _in(section: str, source: str) -> bool:
    """Tell whether a section is the one that a source names; ASGI adds the kind of the message to its titles."""
    one, other = (name.partition(" - ")[0].lower() for name in (section, source.partition(", ")[2]))
    return one.startswith(other) or other.startswith(one)


def unlisted(text: str, listed: Iterable[Listed]) -> list[tuple[str, str]]:
    """Return the sentences of a text, with their sections, that no entry identifies."""
    listed = [(source, _plain(words).lower()) for source, words in listed]
    return [
        (section, sentence)
        for section, sentence in _sentences(text)
        if _NORMATIVE.search(sentence)
        and not any(words in sentence.lower() for words in HARMLESS)
        and not any(words in sentence.lower() and _in(section, source) for source, words in listed)
    ]


def unknown(text: str, listed: Iterable[Listed]) -> list[Listed]:
    """Return the entries whose words are not in the section that they name."""
    paragraphs = [(section, paragraph.lower()) for section, paragraph in _paragraphs(text)]
    return [
        (source, words)
        for source, words in listed
        if not any(_plain(words).lower() in paragraph and _in(section, source) for section, paragraph in paragraphs)
    ]


def main(folder: Path) -> int:
    """Compare, print the differences, and return their number."""
    count = 0
    for name in dict.fromkeys(FILES.values()):
        text = (folder / name).read_text("utf-8")
        listed = [(one.source, one.words) for one in SENTENCES for start in FILES if one.source.startswith(start)]
        listed = [one for one in listed if FILES[next(start for start in FILES if one[0].startswith(start))] == name]
        for section, sentence in unlisted(text, listed):
            print(f"not listed: {name}, {section}: {sentence}")
            count += 1
        for source, words in unknown(text, listed):
            print(f"not in the text: {source}: {words}")
            count += 1
    print(f"{len(SENTENCES)} sentences, {count} differences")
    return count


if __name__ == "__main__":
    sys.exit(1 if main(Path(sys.argv[1])) else 0)
