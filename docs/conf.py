"""Sphinx: MyST pages by need (tutorial, how-to, reference, explanation), furo."""

from __future__ import annotations

import re
from pathlib import Path

project = "anytier"
author = "The anytier authors"
project_copyright = "2026, the anytier authors"
version = release = re.findall(
    r'__version__ = "(.+)"',
    (Path(__file__).parent.parent / "gateway" / "_version.py").read_text(
        encoding="utf-8"
    ),
)[0]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "conftest.py"]
html_theme = "furo"
html_title = "anytier"
autodoc_typehints = "description"
autodoc_member_order = "bysource"
