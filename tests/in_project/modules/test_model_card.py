"""The model card for any number of classes, for hostile names, and for few rows."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from customer_churn.training.model_card import draw_card
from customer_churn.utils import format_number

# Two braces are the template's, so they are put together here.
HOSTILE = "<script>alert(1)</script>\"'&" + "{" * 2 + "1}" + "}$x$🦔"
CARD = {
    "model": "gradient_boosting",
    "task": "classification",
    "target": "outcome",
    "target_description": "how it ended",
    "trained": "2026-11-23T08:00:00+00:00",
    "seconds": 2.9,
    "file": {"path": "models/model.onnx", "sha256": "ab" * 32},
    "promotion": {"promoted": True, "reason": "no model was served"},
    "data": {
        "path": "data/processed/table.parquet",
        "sha256": "cd" * 32,
        "rows": 5000,
        "columns": 3,
        "dates": {"since": ["2019-01-02", "2025-12-30"]},
    },
    "split": {"column": None, "since": None, "lasting": True, "key": ["id"], "seed": 0},
    "train_rows": 4000,
    "test_rows": 1000,
    "threshold": None,
    "metric": "roc_auc",
    "metrics": {"roc_auc": 0.912, "accuracy": 0.86, "log_loss": None},
    "intervals": {"roc_auc": [0.89, 0.93]},
    "baseline": {"roc_auc": 0.5, "accuracy": 0.71, "log_loss": 0.6},
    "words": {
        "roc_auc": ["ROC AUC", "higher is better"],
        "accuracy": ["accuracy", "higher is better"],
        "log_loss": ["log loss", "lower is better"],
        "rmse": ["RMSE", "lower is better"],
    },
    "importance": [
        {"feature": "charges", "importance": 0.081, "standard_deviation": 0.004},
        {"feature": "member", "importance": -0.0001, "standard_deviation": 0.002},
    ],
    "slices": [
        {"column": "size", "value": "Big", "rows": 120, "score": 0.84, "interval": [0.8, 0.88]}
    ],
    "comparison": [
        {
            "model": "logistic",
            "mean": 0.91,
            "standard_deviation": 0.01,
            "fit_seconds": 0.1,
            "score_seconds": 0.01,
            "note": "chosen",
        }
    ],
    "tuning": {"candidates": 20, "folds": 5, "score": 0.914, "untuned": 0.910, "tie": True},
    "settings": {"max_leaf_nodes": 8},
    "git": "0123456789" * 4 + "-dirty",
    "config": "ef" * 32,
    "schema": "01" * 32,
    "versions": {"python": "3.11.7", "scikit-learn": "1.9.1"},
    "notes": ["The label 'won' is rare."],
}
ALWAYS = ["data", "metrics", "figures", "limits", "provenance"]


def draw(root, number=2, rows=300, constant=False, **changes):
    """Draw the sample card for so many classes, for numbers if there are none."""
    random = np.random.default_rng(0)
    card = {**CARD, "labels": [f"label {n}" for n in range(number)]}
    card["classes"] = {name: 1 / number for name in card["labels"]}
    if number:
        y = random.integers(0, number, rows)
        scores = random.random((rows, number)) + 0.7 * np.eye(number)[y]
        outputs = scores / scores.sum(axis=1, keepdims=True)
    else:
        y, outputs = random.normal(size=(2, rows))
        card |= {"task": "regression", "metric": "rmse", "tuning": None, "comparison": []}
        card |= {"metrics": {"rmse": 55384.2}, "baseline": {"rmse": 79000.0}}
        card["intervals"] = {"rmse": [54000.0, 56000.0]}
    if constant:
        outputs = np.full_like(outputs, 1 / max(1, number))
    card = json.loads(json.dumps(card | changes))
    return draw_card(card, y, outputs, root)


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(re.sub("<style>.*?</style>", "", page, flags=re.DOTALL))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.text += " " if tag in ("dd", "div", "p", "small", "td", "th") else ""

    def handle_data(self, data):
        self.text += data

    def values(self, attribute):
        return [attrs[attribute] or "" for _, attrs in self.elements if attribute in attrs]

    def tags(self, *names):
        return [tag for tag, _ in self.elements if tag in names]


@pytest.mark.parametrize("classes", [0, 2, 5, 40])
def test_the_page_holds_every_section_and_loads_nothing(classes, tmp_path):
    page = draw(tmp_path, classes)
    assert page == draw(tmp_path, classes)  # the same each time
    read, body = Page(page), page.split("</style>")[1]
    ids = read.values("id")
    assert set(ALWAYS) | {"importance", "segments"} <= set(ids)
    assert len(ids) == len(set(ids))
    assert len(read.tags("svg")) == {0: 2, 2: 5}.get(classes, 4)
    assert "default-src 'none'" in page
    assert not read.tags("script", "iframe", "object", "base", "form")
    assert all(link.startswith(("#", "data:")) for link in read.values("xlink:href"))
    used = [link[1:] for link in read.values("xlink:href") if link.startswith("#")]
    used += re.findall(r"url\(#(.*?)\)", body)
    assert set(used) <= set(ids)
    assert not re.search(r"url\((?!#)|@import|<!DOCTYPE svg|\d\d:\d\d:\d\d\.", body)


@pytest.mark.parametrize("text", [HOSTILE, "x" * 200 + "$\\frac$" + "{" + "% endif %}"])
@pytest.mark.parametrize("classes", [0, 5])
def test_hostile_text_is_text(text, classes, tmp_path):
    labels = [text, *(f"label {n}" for n in range(1, classes))] if classes else []
    data = {**CARD["data"], "dates": {text: ["2019-01-02", "2025-12-30"]}, "path": text}
    slices = [{**CARD["slices"][0], "column": text, "value": text}]
    importance = [{**CARD["importance"][0], "feature": text}]
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "model-card.md").write_text(f"## {text}\n\n{text}\n", encoding="utf-8")
    changes = {"data": data, "slices": slices, "importance": importance, "labels": labels}
    changes |= {"target": text, "target_description": text, "notes": [text], "model": text}
    page = draw(tmp_path, classes, **changes, settings={text: text})
    assert "<script" not in page
    assert Page(page).tags("body") == ["body"]
    assert text in Page(page).text


@pytest.mark.parametrize(
    ("rows", "classes", "constant"), [(1, 0, False), (1, 2, False), (1, 40, True), (7, 2, True)]
)
def test_few_rows_and_constant_answers_can_be_drawn(rows, classes, constant, tmp_path):
    assert "<svg" in draw(tmp_path, classes, rows, constant)


def test_numbers_stand_beside_the_baseline_as_people_write_them(tmp_path):
    text = " ".join(Page(draw(tmp_path)).text.split())
    assert "ROC AUC 0.912 95 % confidence interval 0.890 to 0.930 Baseline 0.500" in text
    assert "not defined" in text  # the log loss
    assert "55,384" in Page(draw(tmp_path, 0)).text


@pytest.mark.parametrize(
    ("split", "sentence"),
    [
        ({}, "1,000 rows, chosen by a hash of the key"),
        ({"lasting": False}, "1,000 rows, chosen at random"),
        ({"column": "since", "since": "2025-06-01"}, "the newest by since, since 2025-06-01"),
        ({"column": "since"}, "whole groups of since"),
    ],
)
def test_the_split_and_its_limits_are_described(split, sentence, tmp_path):
    text = Page(draw(tmp_path, split={**CARD["split"], **split})).text
    assert sentence in " ".join(text.split())
    limits = text.split("Limits")[1]
    assert "The label 'won' is rare." in limits
    assert ("training.date" in limits) == ("column" not in split)


def test_a_segment_s_roc_auc_is_not_compared_without_a_word(tmp_path):
    text = Page(draw(tmp_path)).text
    assert "ROC AUC within a segment compares only its own rows" in text
    assert "ROC AUC within" not in Page(draw(tmp_path, 0)).text


def test_what_there_is_not_takes_no_room(tmp_path):
    nothing = {"comparison": [], "tuning": None, "slices": [], "importance": []}
    nothing |= {"git": None, "settings": {}, "data": {**CARD["data"], "dates": {}}}
    page = Page(draw(tmp_path, **nothing, promotion=None))
    assert {"selection", "segments", "importance"}.isdisjoint(page.values("id"))
    assert "not in git" in page.text


def test_a_small_share_is_not_nothing(tmp_path):
    classes = {"label 0": 0.99988, "label 1": 0.00012}
    assert "0.0120 %" in Page(draw(tmp_path, classes=classes)).text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.9, "0.900"),
        (55384.2, "55,384"),
        (0.0912, "0.0912"),
        (-12.34, "-12.3"),
        (0, "0"),
    ],
)
def test_numbers_are_shown_as_people_write_them(value, shown):
    assert format_number(value) == shown
