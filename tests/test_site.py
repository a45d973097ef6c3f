"""The notebooks and docs become a site that can be read offline."""

import re

import pytest

COMMAND = (
    "uv run --group site sphinx-build --quiet --fresh-env --fail-on-warning"
    " -c docs . reports/site/html"
)


@pytest.mark.slow
def test_one_command_makes_a_site_of_the_notebooks_and_docs(bake):
    project = bake()
    result = project.run(*COMMAND.split())
    assert result.returncode == 0, result.stderr
    assert project.run("git", "status", "--porcelain").stdout == ""
    site = project.path / "reports" / "site" / "html"
    paths = (path for path in site.rglob("*.html") if "_static" not in path.parts)
    pages = {path: path.read_text(encoding="utf-8") for path in paths}
    sources = [*project.path.glob("docs/*.md"), *project.path.glob("notebooks/*.ipynb")]
    assert len(sources) > 3
    for source in sources:
        name = source.relative_to(project.path).with_suffix(".html")
        assert "<h1>" in pages[site / name]
        assert f'href="{name.as_posix()}"' in pages[site / "index.html"]
        if source.suffix == ".ipynb":
            assert "<img " in pages[site / name]  # it ran: git holds no outputs
            assert "<table " in pages[site / name]
    for page, text in pages.items():
        loaded = re.findall(r'<(?:script|img|iframe)\b[^>]*\bsrc="([^"]*)', text)
        loaded += re.findall(r'<link\b[^>]*\bhref="([^"]*)', text)
        linked = re.findall(r'<a\b[^>]*\bhref="([^"#]+)', text)
        for address in loaded + [link for link in linked if "://" not in link]:
            assert (page.parent / address.split("#")[0].split("?")[0]).exists(), address
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", style.read_text(encoding="utf-8"))
