"""How Sphinx makes a site of README.md, the other pages of this folder and those beside it: `make docs`.

The repository itself is the source folder, so that every link leads to the same place here and in the repository. A link or anchor
that leads nowhere is an error.
"""

project = "Compliance Workbench"
author = "the maintainers of the Compliance Workbench"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
include_patterns = ["*.md", "docs/*.md", "docs/decisions/*.md"]
root_doc = "docs/index"
myst_heading_anchors = 3  # README's headings can be linked to, by the anchors that forges make of them
nitpicky = True
suppress_warnings = ["myst.header"]  # a page may begin with a smaller heading
html_theme = "alabaster"
html_title = project
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"description": "An opt-out wins.", "page_width": "72rem", "sidebar_width": "15rem", "font_size": "16px"}
