"""Sphinx: MyST pages by need (tutorial, how-to, reference, explanation), furo."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent

project = "anytier"
author = "The anytier authors"
project_copyright = "2026, the anytier authors"
[version] = re.findall(
    r'__version__ = "(.+)"', (ROOT / "gateway" / "_version.py").read_text("utf-8")
)
release = version

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build", "conftest.py"]
# A typographic dash would change the options of a command.
smartquotes = False
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "anytier"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0a6b4d",
        "color-brand-content": "#0a6b4d",
    },
    "dark_css_variables": {
        "color-brand-primary": "#5fd3a5",
        "color-brand-content": "#5fd3a5",
    },
}

# The button copies commands without their prompt.
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"

# A name between single backticks in a docstring leads to its entry, if it has one.
default_role = "py:obj"
# `Response` is a class of the contract and a class of the test kit.
suppress_warnings = ["ref.python"]
napoleon_use_ivar = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
