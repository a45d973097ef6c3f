"""Every case of the rules by which a column's kind, its limits and its leaks are found."""

import pandas as pd
import pytest
from customer_churn.tools import column_rules as rules
from test_infer_schema import DRAW, HALF, cells, numbers, text


@pytest.mark.parametrize(
    ("lines", "separator"),
    [
        (["id,price,day", "1,9.99,Mon", "2,8.50,Tue"], ","),
        (["id;price", "1;9,99", "2;8,5", "3;10"], ";"),
        (["id\tname", "1\tDoe, Jane", "2\tRoe, Max"], "\t"),
        (["a|b|c", "1|2;3|4"], "|"),
        (["id,note,day", '1,"old, but good",Mon', '2,"none",Tue', "3,none,Wed"], ","),
        (["id;note", '1;"a, b, c"', '2;"d, e, f"', '3;"g"'], ";"),
        (["id,name,tags", "1,Ann,a;b", "2,Bob,c;d", "", '3,"Coe, Cy",e;f'], ","),
        (["id\tnote\tprice", '1\t"a\tb,c"\t$1,234.50', '2\t"x,\ny"\t$5'], "\t"),
        (["only", "one", "column"], ","),
    ],
)
def test_the_separator_stands_equally_often_in_most_lines(lines: list[str], separator: str) -> None:
    assert rules.find_separator("\n".join(lines)) == separator


@pytest.mark.parametrize(
    ("line", "separator", "decimal"),
    [
        ("1,234.50|9.99", ";", "."),
        ("9,99|1,5", ",", ","),  # quoted
        ("1.234,50|12.000,00", "\t", ","),
        ("1.234|2.500", ";", ","),  # thousands, in a European export
        ("1,234|2,500", ",", "."),
    ],
)
def test_the_decimal_sign_makes_more_numbers(line: str, separator: str, decimal: str) -> None:
    frame = pd.DataFrame({"price": cells(line)}).assign(name="a")
    assert rules.find_decimal(frame, separator) == decimal


@pytest.mark.parametrize(
    ("line", "decimal", "expected"),
    [
        ("1|-2.5|0.5|0|1e3|", ".", True),
        ("€ 1,234.50|$5|12 %|(3.20)", ".", True),
        ("9,99|1.234,50 €|12", ",", True),
        ("1|" * 95 + "unknown|" * 5, ".", True),
        ("1|" * 94 + "unknown|" * 6, ".", False),
        ("01067|80331|99999", ".", False),  # a postcode
        ("4929123412341234|4485987698769876", ".", False),  # of credit cards
        ("2024-01-31|10:30", ".", False),
        ("JFK|LAX|USD", ".", False),
        ("$|-|%", ".", False),
        ("", ".", False),
    ],
)
def test_nearly_all_are_numbers_and_none_is_a_code(line: str, decimal: str, expected: bool) -> None:
    assert rules.is_number(cells(line), decimal) == expected


def test_whole_numbers() -> None:
    assert rules.is_whole(numbers(1, -2, None, 2**53))
    assert not rules.is_whole(numbers(1, 2.5))
    assert not rules.is_whole(numbers(2.0**54))


def test_the_last_word_of_a_name_tells() -> None:
    for name in ("id", "order_id", "orderID", "OrderId", "Order Id"):
        assert rules.ends_in(name, {"id"})
    for name in ("paid", "grid", "id_type", "idea", "", "2020", "größe"):
        assert not rules.ends_in(name, {"id"})


@pytest.mark.parametrize(
    ("line", "day_first", "formats", "unread"),
    [
        ("2024-01-31|2024-01-31T10:00:00Z|2024-01-31 10:00+02:00", True, [], 0),
        ("20240131|2024/01/31|", False, [], 0),
        ("31/12/2024|1/2/2024", True, ["%d/%m/%Y"], 0),
        ("31/12/2024|1/2/2024", False, ["%m/%d/%Y"], 1),
        ("31.12.24|1.2.24", False, ["%d.%m.%y"], 0),
        ("5-Jan-24|31-Dec-23", False, ["%d-%b-%y"], 0),
        ("Jan 5, 2024|Dec 31, 2023", False, ["%b %d, %Y"], 0),
        ("2024-01-31|31 Jan 2024|often", True, ["%d %b %Y"], 1),
        ("1/2/2024 9:05 AM|1/2/2024 3:04 PM", False, ["%m/%d/%Y %I:%M %p"], 0),
        ("1/2/2024 3:04 PM|1/3/2024 11:30 PM", False, ["%m/%d/%Y %I:%M %p"], 0),
        ("31/12/2024 13:00:00 +01:00", True, ["%d/%m/%Y %H:%M:%S %z"], 0),
        ("Rome|10:30|3 to 5", False, [], 3),
    ],
)
def test_date_formats(line: str, day_first: bool, formats: list[str], unread: int) -> None:
    assert rules.find_date_formats(cells(line), day_first) == (formats, unread)


@pytest.mark.parametrize(
    ("value", "month_first", "day_first"),
    [
        ("3/4/2024", "%m/%d/%Y", "%d/%m/%Y"),
        ("3/4/24 7:05", "%m/%d/%y %H:%M", "%d/%m/%y %H:%M"),
        ("13/4/2024", None, "%d/%m/%Y"),
        ("3.4.2024", "%d.%m.%Y", "%d.%m.%Y"),
    ],
)
def test_a_guess_keeps_to_the_order_of_day_and_month(
    value: str, month_first: str | None, day_first: str | None
) -> None:
    assert rules.guess_date_format(value, day_first=False) == month_first
    assert rules.guess_date_format(value, day_first=True) == day_first


def test_dates_are_near_and_more_than_a_year() -> None:
    for line in ("2024-01-31|" * 95 + "unknown|" * 5, "20240131|20240201"):
        assert rules.is_date(cells(line), [])
    for line in ("2019|2024", "202401|202402", "12345678|99990101", "1700-01-01|1701-01-01", ""):
        assert not rules.is_date(cells(line), [])
    assert not rules.is_date(cells("2024-01-31|" * 94 + "unknown|" * 6), [])
    assert rules.is_date(cells("31/01/2024|2024-02-01"), ["%d/%m/%Y"])


@pytest.mark.parametrize("size", [1e-5, 0.03, 0.1, 1 / 3, 0.7, 1, 9.99, 12_345.6, 1e9, 3e20])
def test_limits_are_never_below_ten_times_the_size(size: float) -> None:
    assert rules.find_limits(numbers(0, size))[1] >= 10 * size
    assert rules.find_limits(numbers(-size, 0))[0] <= -10 * size


def test_a_column_is_required_after_a_thousand_rows_without_a_gap() -> None:
    assert rules.is_required(text(*["a"] * 1000))
    assert not rules.is_required(text(*["a"] * 999))
    assert not rules.is_required(text(*["a"] * 1000, None))


def test_many_equally_frequent_values_that_are_the_target_are_a_leak() -> None:
    states = text(*(f"state {number % 30}" for number in range(600)))
    target = states.map(lambda state: "won" if int(state[6:]) % 2 else "lost")
    assert rules.find_leak(states, target, "classification") == "the column"


def test_one_value_that_gives_the_target_away_is_a_leak() -> None:
    target = text(*HALF)
    some = (target == "won") & pd.Series([DRAW.random() < 0.5 for _ in HALF])
    state = target.mask(some, "closed").replace(["won", "lost"], "open")
    assert rules.find_leak(state, target, "classification") == "the value closed"
    score = numbers(*[1] * len(HALF)).mask(some)
    assert rules.find_leak(score, target, "classification") == "the value a missing value"


def test_a_leak_is_looked_for_in_huge_numbers_too() -> None:
    huge = numbers(*[1e300, -1e300, None] * 200)
    assert rules.find_leak(huge, text(*HALF), "classification") == ""
