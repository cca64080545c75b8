"""Check the file names of a URL path. This rule keeps a request inside the served folder.

Pure. The path is already percent-decoded. A bad path is refused, not repaired. So each file has one spelling, and
caches, access rules and this module agree about the requested file. Windows reads some names differently (device
names, drive letters, streams, final dots). They are refused on every system, so that a folder is equally safe on each.

Sources: RFC 3986 section 3.3 (path); CWE-22 (path traversal); Microsoft "Naming Files, Paths, and Namespaces".
"""

from __future__ import annotations

import re

__all__ = ["is_safe_name", "safe_segments"]

_DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"}
_DEVICES |= {f"{name}{digit}" for name in ("com", "lpt") for digit in "0123456789¹²³"}
#: Control characters (category Cc), surrogates, and characters that Windows forbids or reads differently. File names
#: may contain any other character: macOS writes U+202F into the names of its screenshots.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f\ud800-\udfff\\:*?"<>|]')
_WELL_KNOWN = ".well-known"


def is_safe_name(name: str, *, first: bool, dotfiles: bool = False) -> bool:
    """Return whether a file or a folder of this name may be served.

    Args:
        name: The name, not empty, without "/".
        first: Whether it lies directly in the served folder, where ``.well-known`` is allowed.
        dotfiles: Allow names that begin with a dot.
    """
    if _FORBIDDEN.search(name) or name[-1] in ". " or name[0] == " ":
        return False
    if name[0] == "." and not dotfiles and not (first and name == _WELL_KNOWN):
        return False
    return name.partition(".")[0].rstrip().lower() not in _DEVICES


def safe_segments(path: str, *, dotfiles: bool = False) -> list[str] | None:
    """Split a URL path into the names of the folders and the file.

    Args:
        path: The part of the decoded path after the prefix, without a leading "/".
        dotfiles: Allow names that begin with a dot; ``.well-known`` is always allowed as the first name.

    Returns:
        The names. The last is "" if the path names a folder, so if it ends in "/" or is empty. None if the path is
        not the only spelling of a name inside the folder.

    >>> safe_segments("css/site.css"), safe_segments("docs/"), safe_segments("../etc/passwd")
    (['css', 'site.css'], ['docs', ''], None)
    """
    segments = path.split("/")
    last = len(segments) - 1
    for index, segment in enumerate(segments):
        if not segment:
            if index != last:
                return None
        elif not is_safe_name(segment, first=index == 0, dotfiles=dotfiles):
            return None
    return segments
