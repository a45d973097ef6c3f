"""scikit-learn's tables, from file to HTTP answer, beside plain scikit-learn on the same split."""

import pytest
from conftest import go
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

WITHIN = 0.02


def write_comma(frame, path):
    frame.to_csv(path.with_suffix(".csv"), index=False)
    return path.with_suffix(".csv")


def write_as_excel_does(frame, path):
    frame = frame.rename(columns=lambda name: name.replace("proline", "Größe"))
    frame.to_csv(path.with_suffix(".csv"), index=False, sep=";", decimal=",", encoding="cp1252")
    return path.with_suffix(".csv")


def write_parquet(frame, path):
    frame.to_parquet(path.with_suffix(".parquet"), index=False)
    return path.with_suffix(".parquet")


TABLES = [
    (datasets.load_iris, write_comma),
    (datasets.load_wine, write_as_excel_does),
    (datasets.load_breast_cancer, write_parquet),
    (datasets.load_diabetes, write_comma),
    (datasets.load_digits, write_comma),
]


@pytest.mark.parametrize(("load", "write"), TABLES, ids=lambda each: each.__name__)
def test_a_public_table_is_predicted_as_well_as_by_hand(load, write, tmp_path):
    public = load(as_frame=True)
    frame = public.frame.copy()
    if load is datasets.load_iris:  # a target of text
        frame["target"] = public.target_names[public.target]
    journey = go(tmp_path, write(frame, tmp_path / "table"), "target")
    assert journey.record["rows_kept"] == len(frame)
    journey.check_answers()

    split, task = journey.dataset.split, journey.dataset.table.task
    assert task == ("regression" if load is datasets.load_diabetes else "classification")
    model = {"regression": HistGradientBoostingRegressor}.get(task, HistGradientBoostingClassifier)
    train, test = split.train, split.test
    by_hand = model(random_state=0).fit(public.data.iloc[train], public.target.iloc[train])
    plain = by_hand.score(public.data.iloc[test], public.target.iloc[test])
    own = journey.metrics["r2" if task == "regression" else "accuracy"]
    name = load.__name__.removeprefix("load_")
    print(f"\n| {name} | {len(test)} test rows | by hand {plain:.4f} | here {own:.4f} |")
    assert own >= plain * (1 - WITHIN)
