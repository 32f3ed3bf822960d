"""How Sphinx makes pages of this folder: `python -m sphinx -W --keep-going -b html docs docs/_build/html`."""

from __future__ import annotations

from docutils import nodes
from pygments.lexers.shell import BashLexer
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

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


class Description(SphinxPostTransform):
    """What a page begins with is the DESCRIPTION of its manual page: NAME is one line, by which `whatis` finds it."""

    builders = ("man",)
    default_priority = 900

    def run(self, **kwargs: object) -> None:
        """Put it into a section of its own."""
        page = next(self.document.findall(nodes.section))
        beginning = [node for node in page.children[1:] if not isinstance(node, nodes.section)]
        if not beginning or not any(isinstance(node, nodes.section) for node in page.children):
            return
        for node in beginning:
            page.remove(node)
        page.insert(1, nodes.section("", nodes.title("", "Description"), *beginning, ids=["description"]))


def setup(app: Sphinx) -> None:
    """A crontab looks most like a shell script."""
    app.add_lexer("crontab", BashLexer)
    app.add_post_transform(Description)
