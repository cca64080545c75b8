"""Known violations of a server or a framework: a file that makes a run fail on new ones, and on those that are gone.

    [[violation]]
    rule = "P69"
    reason = "gunicorn sends the headers with an empty block"
    upstream = "https://github.com/benoitc/gunicorn/issues/1"
    since = "2026-11-29"

``rule`` and ``reason`` are required. An entry is *stale* if the run checked its rule and found no violation: the
software was repaired, and the entry has to go.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from gateway.check.report import TEXTS
from gateway.errors import ConfigurationError
from gateway.rules.tables import known_rules

__all__ = ["Known", "read_known"]

_KEYS = ("rule", "reason", "upstream", "since")


@dataclass(frozen=True)
class Known:
    """The rules to ignore, and which of them have to occur.

    Attributes:
        reasons: The reason of each ignored rule.
        file: Name of the file that has them; empty for rules that an option names. Only entries of a file can be stale.
        expected: The rules of the file.
    """

    reasons: Mapping[str, str]
    file: str = ""
    expected: frozenset[str] = frozenset()

    def stale(self, found: Collection[str], checked: Collection[str] | None = None) -> list[str]:
        """Describe the entries whose violation is gone.

        Args:
            found: The ignored rules that were broken.
            checked: The rules that the run has checked; None means all of them.
        """
        gone = sorted(rule for rule in self.expected - set(found) if checked is None or rule in checked)
        return [
            f"{self.file} has a stale entry: rule {rule} is kept now ({self.reasons[rule]}); remove it" for rule in gone
        ]


def read_known(file: str | Path | None, ignore: Mapping[str, str] | None = None) -> Known:
    """Read a file of known violations, and add the rules of an ``ignore=`` option.

    Raises:
        ConfigurationError: The file cannot be read, is not TOML, or an entry has an unknown rule or no reason.
    """
    named = dict(known_rules(ignore, TEXTS))
    if file is None:
        return Known(named)
    try:
        content = tomllib.loads(Path(file).read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read the known violations in {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} is not valid TOML: {error}") from None
    entries: object = content.pop("violation", [])
    if content or not isinstance(entries, list):
        raise ConfigurationError(f"{file} may have only [[violation]] tables, got {', '.join(content) or 'a value'}")
    reasons = [_entry(each, str(file)) for each in cast("list[object]", entries)]
    twice = {rule for rule, _ in reasons if sum(rule == other for other, _ in reasons) > 1}
    if twice:
        raise ConfigurationError(f"{file} has several entries for the rule {min(twice)}; write one")
    known_rules(dict(reasons), TEXTS)
    return Known({**dict(reasons), **named}, str(file), frozenset(rule for rule, _ in reasons))


def _entry(value: object, file: str) -> tuple[str, str]:
    entry = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    wrong = [key for key in entry if key not in _KEYS]
    if wrong or "rule" not in entry:
        raise ConfigurationError(
            f"{file}: each [[violation]] needs rule and reason, and may have upstream and since; got {value!r}"
        )
    return str(entry["rule"]), str(entry.get("reason", ""))
