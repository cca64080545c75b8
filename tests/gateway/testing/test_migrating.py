"""The page about other test clients: the block that needs a process of its own, because Django has one configuration.

The other blocks run with the pages.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import gateway

PAGE = Path(gateway.__file__).parents[1] / "docs" / "how-to" / "migrate-test-clients.md"


def test_the_block_about_django_runs() -> None:
    (block,) = re.findall(r"^% skip: next\n\n```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert "django.setup()" in block
    done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
