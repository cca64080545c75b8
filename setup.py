"""Write the links of the metadata: `[tool.anytier] base-url` in pyproject.toml is the address of the repository.

A package index shows the README without the files beside it, so each relative link there needs the address. While the
setting is empty, the README keeps its relative links and the metadata has no addresses.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent


def absolute(text: str, base: str) -> str:
    """Lead the relative links and images of a page to the files below ``base``."""
    text = re.sub(r"\]\((?![a-z]+:|#)", f"]({base}/blob/HEAD/", text)
    return re.sub(r'(<img src=")(?![a-z]+:)', rf"\g<1>{base}/raw/HEAD/", text)


base = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["anytier"]["base-url"].rstrip("/")
readme = (ROOT / "README.md").read_text("utf-8")
setup(
    long_description=absolute(readme, base) if base else readme,
    long_description_content_type="text/markdown",
    project_urls={
        "Source": base,
        "Documentation": f"{base}/tree/HEAD/docs",
        "Changelog": f"{base}/blob/HEAD/CHANGELOG.md",
        "Issues": f"{base}/issues",
    }
    if base
    else {},
)
