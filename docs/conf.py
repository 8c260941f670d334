"""The site of the documentation. `make docs` builds it from the Markdown files as they stand in the repository."""

import shutil
import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "site")]

from equipot import __version__  # noqa: E402

project = "equipot"
author = "the authors of equipot"
version = release = __version__
language = "en"

# The source folder is the repository, so that links between files are those that readers follow there.
root_doc = "docs/index"
include_patterns = ["docs/**", "configs/README.md", "examples/*/README.md", "README.md", "*.md"]
exclude_patterns = ["docs/site/**", "docs/pictures/**"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "from_code"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # single pages begin at a level that suits GitHub

default_role = "code"  # docstrings write names in single backquotes
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
napoleon_numpy_docstring = False
napoleon_use_rtype = False
add_module_names = False

html_theme = "furo"
html_title = f"equipot {release}"
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
html_static_path = ["site/static"]
html_extra_path = ["site/extra"]  # index.html leads to docs/index.html
html_css_files = ["site.css"]
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "monokai"
highlight_language = "sh"  # of blocks without a language, which are commands

linkcheck_timeout = 20


def _copy_page(app: Sphinx, error: Exception | None) -> None:
    """Copy the interactive page to the place where links in Markdown expect it, which `html_extra_path` cannot do."""
    if app.builder.format == "html" and error is None:
        shutil.copy(ROOT / "docs" / "equivariance.html", Path(app.outdir) / "docs")


def setup(app: Sphinx) -> None:
    """Register the copying of the interactive page."""
    app.connect("build-finished", _copy_page)
