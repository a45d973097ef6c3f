"""The model card of any number of classes, of hostile names, and what is measured for it."""

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score
from customer_churn.training.description import measure_curves
from customer_churn.training.model_card import draw_card, show_number, show_share

# Two braces are the template's, so they are put together here.
HOSTILE = "<script>alert(1)</script>\"'&" + "{" * 2 + "1}" + "}$x$🦔"


CARD: dict[str, Any] = {
    "model": "gradient_boosting",
    "task": "classification",
    "target": "outcome",
    "target_description": "how it ended",
    "labels": ["lost", "won"],
    "trained": "2026-11-23T08:00:00+00:00",
    "seconds": 2.9,
    "file": {"path": "models/model.onnx", "sha256": "ab" * 32},
    "data": {
        "path": "data/processed/table.parquet",
        "sha256": "cd" * 32,
        "date": "2026-11-23",
        "rows": 5000,
        "columns": 3,
        "dates": {"since": ["2019-01-02", "2025-12-30"]},
    },
    "split": {"kind": "random", "column": None, "since": None},
    "train_rows": 4000,
    "test_rows": 1000,
    "classes": {"lost": 0.71, "won": 0.29},
    "metric": "roc_auc",
    "metrics": {"accuracy": 0.86, "roc_auc": 0.912, "log_loss": None},
    "intervals": {"accuracy": [0.84, 0.88], "roc_auc": [0.89, 0.93], "log_loss": None},
    "baseline": {"accuracy": 0.71, "roc_auc": 0.5, "log_loss": 0.6},
    "importance": [
        {"feature": "charges", "loss": 0.081, "spread": 0.004},
        {"feature": "since", "loss": 0.012, "spread": 0.003},
        {"feature": "member", "loss": -0.0001, "spread": 0.002},
    ],
    "slices": [
        {"column": "size", "value": "Large", "rows": 120, "score": 0.84},
        {"column": "size", "value": "Small", "rows": 880, "score": 0.93},
        {"column": "size", "value": "Tiny", "rows": 1, "score": None},
    ],
    "comparison": [
        {
            "model": "logistic",
            "mean": 0.91,
            "spread": 0.01,
            "fit_seconds": 0.1,
            "predict_seconds": 0.01,
            "note": "tie, the simplest",
        }
    ],
    "tuning": {"candidates": 20, "folds": 5, "score": 0.914, "untuned": 0.910, "tie": True},
    "settings": {"max_leaf_nodes": 8},
    "random_seed": 0,
    "git": {"commit": "0123456789" * 4, "dirty": True},
    "config": "ef" * 32,
    "schema": "01" * 32,
    "versions": {"python": "3.11.7", "scikit-learn": "1.9.1"},
    "notes": ["The label 'won' is rare."],
}


ALWAYS = ["data", "metrics", "limits", "made"]


def make_outputs(classes: int, rows: int = 1000) -> tuple[NDArray[Any], NDArray[Any]]:
    draw = np.random.default_rng(0)
    target = np.sort(draw.integers(0, classes, rows) * draw.integers(0, 2, rows))
    scores = draw.random((rows, classes)) + 0.7 * np.eye(classes)[target]
    return target, scores / scores.sum(axis=1, keepdims=True)


def make_numbers(rows: int = 2000) -> tuple[NDArray[Any], NDArray[Any]]:
    draw = np.random.default_rng(0)
    predicted = draw.normal(size=rows)
    return predicted + draw.normal(size=rows) / 3, predicted


def make_card(classes: int = 2, /, **changes: Any) -> dict[str, Any]:
    """Return the sample card for so many classes, for numbers if there are none."""
    card = deepcopy(CARD) | {"labels": [f"label {n}" for n in range(classes)]}
    card["classes"] = {name: 1 / classes for name in card["labels"]}
    if classes:
        card["curves"] = measure_curves(*make_outputs(classes), "classification")
    else:
        card |= {"task": "regression", "metric": "rmse", "tuning": None, "comparison": []}
        for part in ("metrics", "baseline"):
            card[part] = {"rmse": 1234.5, "r2": 0.5}
        card["intervals"] = {"rmse": [1200.0, 1300.0], "r2": None}
        card["curves"] = measure_curves(*make_numbers(), "regression")
    return json.loads(json.dumps(card | changes, allow_nan=False))


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(re.sub("<style>.*?</style>", "", page, flags=re.DOTALL))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.text += " " if tag in ("dd", "div", "p", "small", "td", "th") else ""

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, attribute: str) -> list[str]:
        return [attrs[attribute] or "" for _, attrs in self.elements if attribute in attrs]

    def tags(self, *names: str) -> list[str]:
        return [tag for tag, _ in self.elements if tag in names]


def read_text(card: Mapping[str, Any]) -> str:
    return " ".join(Page(draw_card(card)).text.split())


def test_two_classes_have_the_areas_of_scikit_learn() -> None:
    target, outputs = make_outputs(2)
    curves = measure_curves(target, outputs, "classification")
    (roc,), (recall,) = curves["roc"], curves["precision_recall"]
    assert roc["class"] == recall["class"] == 1  # the second; here also the rarer
    assert roc["area"] == pytest.approx(roc_auc_score(target, outputs[:, 1]), abs=1e-5)
    average = average_precision_score(target, outputs[:, 1])
    assert recall["area"] == pytest.approx(average, abs=1e-5)
    thin_area = np.trapezoid(roc["y"], roc["x"])  # what is drawn is the curve
    assert thin_area == pytest.approx(roc["area"], abs=0.005)
    assert np.sum(np.diff(recall["x"]) * recall["y"][1:]) == pytest.approx(average, abs=0.02)


def test_precision_and_recall_are_those_of_the_rarer_class() -> None:
    target, outputs = make_outputs(2)
    curves = measure_curves(1 - target, outputs[:, ::-1], "classification")
    assert curves["roc"][0]["class"] == 1
    assert curves["precision_recall"][0]["class"] == 0


def test_several_classes_have_the_areas_of_the_most_frequent_against_the_rest() -> None:
    target, outputs = make_outputs(9)
    curves = measure_curves(target, outputs, "classification")
    rows = np.bincount(target, minlength=9)
    assert [rows[each["class"]] for each in curves["roc"]] == sorted(rows, reverse=True)[:6]
    for roc, recall in zip(curves["roc"], curves["precision_recall"], strict=True):
        truth, score = target == roc["class"], outputs[:, roc["class"]]
        assert roc["area"] == pytest.approx(roc_auc_score(truth, score), abs=1e-5)
        assert recall["area"] == pytest.approx(average_precision_score(truth, score), abs=1e-5)


def test_calibration_tells_how_often_a_probability_came_true() -> None:
    draw = np.random.default_rng(0)
    score = draw.random(20_000)
    target = (draw.random(20_000) < score).astype(int)
    part = measure_curves(target, np.column_stack([1 - score, score]), "classification")
    part = part["calibration"]
    assert part["rows"] == [2000] * 10
    np.testing.assert_allclose(part["x"], np.arange(0.05, 1, 0.1), atol=0.01)
    np.testing.assert_allclose(part["y"], part["x"], atol=0.03)
    low, high = np.array(part["low"]), np.array(part["high"])
    assert ((low < part["y"]) & (part["y"] < high)).all()


@pytest.mark.parametrize("classes", [2, 11, 60])
def test_confusions_are_counted_and_rare_classes_lumped(classes: int) -> None:
    target, outputs = make_outputs(classes)
    found = measure_curves(target, outputs, "classification")["confusion"]
    every = confusion_matrix(target, outputs.argmax(axis=1), labels=range(classes))
    counts = np.array(found["counts"])
    assert counts.sum() == len(target)
    kept = found["classes"]
    np.testing.assert_array_equal(counts[: len(kept), : len(kept)], every[np.ix_(kept, kept)])
    assert len(counts) == min(classes, 11)
    assert len(kept) == (10 if classes == 60 else classes)
    first = found["mistakes"][0]
    wrong = every - np.diag(np.diag(every))
    assert first["rows"] == wrong.max() == wrong[first["actual"], first["predicted"]]


def test_errors_of_numbers_are_a_sample_and_quantiles() -> None:
    target, predicted = make_numbers()
    curves = measure_curves(target, predicted, "regression")
    sample, errors = curves["sample"], curves["errors"]
    assert len(sample["actual"]) == len(sample["predicted"]) == 500
    assert sum(errors["rows"]) == len(target)
    np.testing.assert_allclose(errors["middle"], 0, atol=0.1)
    np.testing.assert_allclose(errors["high"], 1.2816 / 3, atol=0.12)  # a normal's 90 %
    assert curves == measure_curves(target, predicted, "regression")


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("classes", [0, 2, 60])
@pytest.mark.parametrize("constant", [True, False])
def test_few_rows_and_constant_answers_can_be_drawn(
    rows: int, classes: int, constant: bool
) -> None:
    target, outputs = make_outputs(classes, rows) if classes else make_numbers(rows)
    outputs = np.full_like(outputs, 1 / max(1, classes)) if constant else outputs
    curves = measure_curves(target, outputs, "classification" if classes else "regression")
    card = make_card(classes, curves=json.loads(json.dumps(curves, allow_nan=False)))
    assert '<div role="img"' in draw_card(card)


def test_classes_that_no_test_row_has_are_left_out() -> None:
    target, outputs = make_outputs(4)
    curves = measure_curves(np.where(target == 2, 1, target), outputs, "classification")
    assert 2 not in [each["class"] for each in curves["roc"]]
    only = measure_curves(np.ones(50, int), outputs[:50, :2], "classification")
    assert only["roc"] == []
    assert "ROC curve" not in draw_card(make_card(2, curves=only))


@pytest.mark.parametrize("classes", [0, 2, 60])
def test_what_is_kept_stays_small_however_many_rows_there_are(classes: int) -> None:
    target, outputs = make_outputs(classes, 50_000) if classes else make_numbers(50_000)
    curves = measure_curves(target, outputs, "classification" if classes else "regression")
    assert len(json.dumps(curves)) < 60_000


@pytest.mark.parametrize("classes", [0, 2, 5, 40])
def test_the_page_holds_every_section(classes: int) -> None:
    page = Page(draw_card(make_card(classes)))
    ids = page.values("id")
    parts = ["errors"] if classes == 0 else ["choice", "classes", "answers"]
    assert set(ALWAYS + parts + ["importance", "slices"]) <= set(ids)
    assert len(ids) == len(set(ids))
    assert page.tags("h1", "h2", "h3") == ["h1"] + ["h2"] * (9 if classes else 7)
    assert len(page.tags("svg")) == (3 if classes else 2)
    assert set(page.values("aria-labelledby")) <= set(ids)
    links = [v.removeprefix("#") for v in page.values("xlink:href")]
    links += re.findall(r"url\(#(.*?)\)", " ".join(page.values("clip-path")))
    assert links
    assert set(links) <= set(ids)


@pytest.mark.parametrize("classes", [0, 2, 40])
def test_the_page_loads_nothing_and_is_the_same_each_time(classes: int) -> None:
    page = draw_card(make_card(classes))
    assert page == draw_card(make_card(classes))
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    read, body = Page(page), page.split("</style>")[1]
    assert not read.tags("script", "link", "img", "iframe", "image", "object", "base", "form")
    assert not read.values("src") + read.values("href")
    assert not re.search(r"url\((?!#)|@import|DejaVu|<!DOCTYPE svg|\d\d:\d\d:\d\d\.", body)
    assert not re.search(r"(fill|stroke): #", body)  # all of the theme


@pytest.mark.parametrize("text", [HOSTILE, "x" * 200 + "$\\frac$" + "{" + "% endif %}"])
@pytest.mark.parametrize("classes", [0, 5])
def test_hostile_text_is_text(text: str, classes: int) -> None:
    card = make_card(classes, target=text, target_description=text, notes=[text], model=text)
    card["labels"][:1] = [text] if classes else []
    card["classes"] = {text: 0.01, **card["classes"]} if classes else {}
    card["importance"][0]["feature"] = card["slices"][0]["column"] = text
    card["slices"][0]["value"] = text
    card["data"]["dates"] = {text: ["2019-01-02", "2025-12-30"]}
    card["data"]["path"] = card["file"]["path"] = text
    card["settings"] = {text: text}
    page = draw_card(card)
    assert "<script" not in page
    read = Page(page)
    assert read.tags("body") == ["body"]
    assert text in read.text
    assert len(read.tags("svg")) == (3 if classes else 2)


def test_each_number_stands_beside_the_baseline() -> None:
    text = read_text(make_card())
    assert "ROC AUC 0.912 95 % interval 0.890 to 0.930 Baseline, a guess 0.500" in text
    assert "more is better 0.860 0.840 to 0.880 0.710" in text
    assert "not defined" in text  # the log loss


def test_limits_follow_from_the_facts() -> None:
    limits = read_text(make_card()).split("Limits")[1]
    for sentence in (
        *("The label 'won' is rare.", "name a column of dates as training.date in config.yaml"),
        "since is from 2019-01-02 to 2025-12-30",
        "weakest where size is Large (120 rows): ROC AUC 0.840, over all 0.912",
    ):
        assert sentence in limits


def test_limits_that_do_not_hold_are_not_told() -> None:
    limits = read_text(make_card(split={"kind": "time", "column": "since", "since": "2025-06-01"}))
    limits = limits.split("Limits")[1]
    assert "training.date" not in limits
    assert "weakest" not in read_text(make_card(slices=[])).split("Limits")[1]


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("random", "1,000 rows, chosen at random"),
        ("time", "those since 2025-06-01 by since; it learnt from the rows before"),
        ("group", "chosen so that no since is among both"),
    ],
)
def test_the_split_is_told(kind: str, sentence: str) -> None:
    split = {"kind": kind, "column": "since", "since": "2025-06-01"}
    assert sentence in read_text(make_card(split=split))


def test_what_there_is_not_takes_no_room() -> None:
    card = make_card(comparison=[], tuning=None, slices=[], importance=[], git=None, settings={})
    card["data"]["dates"] = {}
    page = Page(draw_card(card))
    assert {"choice", "slices", "importance"}.isdisjoint(page.values("id"))
    assert "not in git" in page.text


@pytest.mark.parametrize(
    ("value", "like", "shown"),
    [
        (0.9, None, "0.900"),
        (12.34, None, "12.3"),
        (1234.5, None, "1,234"),
        (0.0, None, "0.00"),
        (-0.0001, 0.2, "0.000"),
        (1e-9, None, "1.00e-09"),
        (None, None, "not defined"),
    ],
)
def test_numbers_have_three_digits(value: float | None, like: float | None, shown: str) -> None:
    assert show_number(value, like) == shown


def test_a_small_share_is_not_nothing() -> None:
    assert [show_share(s) for s in (0, 0.0004, 0.05, 0.71)] == [
        "0.0 %",
        "under 0.1 %",
        "5.0 %",
        "71 %",
    ]
