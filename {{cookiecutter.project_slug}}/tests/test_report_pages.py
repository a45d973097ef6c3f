"""What a report shows, and that it needs nothing but itself."""

import base64
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import tools.report_pages as pages

DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ELSEWHERE = re.compile(r"""(src|data)=["']?(https?:)?//|<link|url\(|@import|import[^;]*from""")


def display(**data: str) -> nbformat.NotebookNode:
    return new_output("display_data", data={f"text/{name}": text for name, text in data.items()})


def make_report(*cells: nbformat.NotebookNode, error: str = "") -> pages.Report:
    notebook = new_notebook(cells=list(cells))
    return pages.Report("name", notebook, Path(), "2026-01-02 03:04", 5.6, {"size": "7"}, error)


def make_result(*outputs: nbformat.NotebookNode, **metadata: Any) -> nbformat.NotebookNode:
    return new_code_cell("secret = 1", outputs=list(outputs), metadata=metadata)


WARNING = new_output("stream", name="stderr", text="be careful")
TEXT = new_output("stream", name="stdout", text="a <result>")
FIGURE = new_output("display_data", data={"image/png": base64.b64encode(DOT).decode()})
ERROR = new_output(
    "error", ename="ValueError", evalue="no", traceback=["\x1b[31mValueError\x1b[0m: no"]
)


def test_without_code_a_page_has_results_and_no_trace_of_how() -> None:
    page = pages.write_report(make_report(make_result(TEXT, WARNING), make_result()), code=False)
    assert "a &lt;result&gt;" in page
    for hidden in ("secret", "be careful", "In&nbsp;", "Out["):
        assert hidden not in page
    assert page.count('class="output_wrapper"') == 1
    assert "Run on 2026-01-02 03:04, 5.6 s; <code>size = 7</code>" in page


def test_with_code_a_page_has_it_in_colours_for_light_and_dark() -> None:
    page = pages.write_report(make_report(make_result(TEXT, WARNING), make_result()), code=True)
    assert page.count('<span class="n">secret</span>') == 2
    assert "be careful" in page
    assert page.count(".highlight .n ") >= 1
    assert "@media screen and (prefers-color-scheme: dark) {" in page


def test_a_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    (tmp_path / "dot.png").write_bytes(DOT)
    text = "![near](dot.png) ![lost](attachment:lost.png) ![far](https://example.org/far.png)"
    report = make_report(new_markdown_cell(text), make_result(FIGURE, TEXT))
    report = report._replace(folder=tmp_path)
    for code in (False, True):
        for page in (pages.write_report(report, code), pages.write_slides(report, code)):
            assert not ELSEWHERE.search(page)
            assert page.count("data:image/png;base64,") == 2
            assert '<a href="https://example.org/far.png">far</a>' in page
            assert "<em>lost</em>" in page


def test_what_a_cell_would_load_is_not_let_in() -> None:
    script = display(html='<script src="https://example.org/far.js"></script>')
    page = pages.write_report(make_report(make_result(script)), code=False)
    rules = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert rules
    assert rules[1].startswith("default-src 'none';")
    assert "http" not in rules[1]
    assert page.index("Content-Security-Policy") < page.index("far.js")


def test_a_program_of_a_cell_is_shown_as_its_text() -> None:
    script = new_output("display_data", data={"application/javascript": "1", "text/plain": "chart"})
    page = pages.write_report(make_report(make_result(script)), code=False)
    assert "chart" in page
    assert "$(" not in page


def test_formulas_are_mathml_and_bad_ones_stay_as_they_are() -> None:
    text = "A $\\frac{1}{n}$, a $\\frac{$.\n\n$$x^2$$\n\n\\begin{align} y &= 1 \\end{align}"
    page = pages.write_report(make_report(new_markdown_cell(text)), code=False)
    assert page.count("<math ") == 3
    assert page.count('display="block"') == 2 + 1  # and one in the style
    assert "<mfrac>" in page
    assert "$\\frac{$" in page
    page = pages.write_report(make_report(make_result(display(latex="$z^2$"))), code=False)
    assert page.count("<math ") == 1


def test_a_failed_page_ends_with_the_error_below_a_banner() -> None:
    marker = new_markdown_cell("marker", metadata={"tags": [pages.MARKER]})
    after = new_markdown_cell("What comes after")
    cells = (marker, make_result(TEXT), make_result(ERROR), after)
    page = pages.write_report(make_report(*cells, error="it fails & stops"), code=False)
    order = ["it fails &amp; stops", "a &lt;result&gt;", '<span class="ansi-red-fg">ValueError']
    assert [page.index(each) for each in order] == sorted(page.index(each) for each in order)
    assert "What comes after" not in page
    assert ">marker<" not in page
    assert "What comes after" in pages.write_report(make_report(*cells), code=False)


def test_figures_say_where_they_belong_to_those_who_cannot_see_them() -> None:
    heading = new_markdown_cell("# Top\n\n## Some *part* & `code`")
    page = pages.write_report(make_report(heading, make_result(FIGURE)), code=False)
    assert 'alt="Figure in the part “Some part &amp; code”"' in page


def test_the_title_is_the_first_heading_else_the_name() -> None:
    heading = new_markdown_cell("Before.\n\nTitle <b>1</b> & more\n===")
    assert make_report(make_result(TEXT), heading).title == "Title 1 & more"
    assert make_report(new_markdown_cell("Words")).title == "name"
    assert "<title>Title 1 &amp; more</title>" in pages.write_slides(make_report(heading), False)


@pytest.mark.parametrize("text", ["# T\n\nWhat $5?$", "What?\n\nMore"])
def test_the_question_is_the_first_paragraph(text: str) -> None:
    found = pages.find_question(make_report(new_markdown_cell(text)).notebook)
    assert found.startswith("<p>What")
    assert "More" not in found


def sizes(*cells: nbformat.NotebookNode) -> list[int]:
    return [len(slide) for slide in pages.split_slides(list(cells))]


def test_a_slide_starts_at_a_large_heading_and_at_each_further_figure() -> None:
    large, small = new_markdown_cell("text\n\n## Large"), new_markdown_cell("### Small")
    figure, text = make_result(FIGURE), make_result(TEXT)
    assert sizes(small, large, small, text, figure, figure, small, large) == [1, 4, 2, 1]
    assert sizes(large, figure, text, figure, large) == [2, 2, 1]
    assert sizes() == []


def test_slide_types_go_before_headings() -> None:
    def slide(kind: str) -> nbformat.NotebookNode:
        return new_markdown_cell("# Large", metadata={"slideshow": {"slide_type": kind}})

    kinds = ["-", "slide", "fragment", "skip", "subslide", "notes", "-"]
    assert sizes(*map(slide, kinds)) == [1, 2, 2]


def test_a_deck_has_a_section_a_slide() -> None:
    cells = [new_markdown_cell("# One"), make_result(TEXT), new_markdown_cell("## Two")]
    deck = pages.write_slides(make_report(*cells), code=False)
    assert deck.count('<section class="slide">') == 2
    assert '<body class="slides">' in deck
    assert "ArrowRight" in deck
    assert pages.write_slides(make_report(), code=False).count('<section class="slide">') == 1
