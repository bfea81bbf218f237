"""The site: `make site` writes it to build/site. Its pages are those of the repository."""

project = "v6srv"
copyright = "the authors of v6srv"
extensions = ["myst_parser"]
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/**",
    "bench/README.md",
]
root_doc = "docs/index"
html_theme = "furo"
html_title = "v6srv"
html_show_sourcelink = False
html_theme_options = {"source_edit_link": None}
myst_heading_anchors = 4
nitpicky = True
suppress_warnings = ["misc.highlighting_failure"]  # lines of policies are no language of its own
