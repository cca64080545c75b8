"""Which file a URL path may name: the rule that keeps a request inside the folder.

Pure. The path comes percent-decoded, and is refused rather than repaired: there is one spelling of each file, so that
caches, access rules and this module agree on what was asked for. What Windows would read differently (device names,
drive letters, streams, final dots) is refused everywhere, so that a folder is as safe on one system as on the other.

Sources: RFC 3986 section 3.3 (path); CWE-22 (path traversal); Microsoft "Naming Files, Paths, and Namespaces".
"""

from __future__ import annotations

__all__ = ["safe_segments"]

_DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"}
_DEVICES |= {f"{name}{digit}" for name in ("com", "lpt") for digit in "0123456789¹²³"}
_FORBIDDEN = set('\\:*?"<>|')


def safe_segments(path: str, *, dotfiles: bool = False) -> list[str] | None:
    """Split a URL path into the names of a file's folders and its own.

    Args:
        path: The part of the decoded path behind the prefix, without a leading "/".
        dotfiles: Allow names that begin with a dot; ``.well-known`` is always allowed as the first.

    Returns:
        The names; the last is "" where the path names a folder (it ends in "/" or is empty). None where the path is
        not the one spelling of a name inside the folder.

    >>> safe_segments("css/site.css"), safe_segments("docs/"), safe_segments("../etc/passwd")
    (['css', 'site.css'], ['docs', ''], None)
    """
    segments = path.split("/")
    for index, segment in enumerate(segments):
        if not segment:
            if index == len(segments) - 1:
                continue
            return None
        if not segment.isprintable() or not _FORBIDDEN.isdisjoint(segment):
            return None
        if segment in (".", "..") or segment[-1] in ". " or segment[0] == " ":
            return None
        if segment.split(".")[0].rstrip().lower() in _DEVICES:
            return None
        if segment[0] == "." and not dotfiles and not (index == 0 and segment == ".well-known"):
            return None
        if any("\ud800" <= character <= "\udfff" for character in segment):
            return None
    return segments
