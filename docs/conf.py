"""How Sphinx makes pages of this folder: `python -m sphinx -W --keep-going -b html docs docs/_build/html`."""

from __future__ import annotations

from pygments.lexers.shell import BashLexer
from sphinx.application import Sphinx

from gcron import __version__

project = "gcron"
release = version = __version__
copyright = "gcron's authors"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "pictures/*.py"]
html_theme = "furo"
html_title = "gcron"
html_copy_source = False

# Markdown: `# Title` and links like `running.md#policies`, which read as well where nothing is built.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]

# What docstrings put between single backticks is code.
default_role = "code"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 100

man_pages = [
    ("commands", "gcron", "run, check and explain crontabs", "", 1),
    ("crontab", "gcron-crontab", "the dialect of gcron's crontabs", "", 5),
]


def setup(app: Sphinx) -> None:
    """A crontab looks most like a shell script."""
    app.add_lexer("crontab", BashLexer)
