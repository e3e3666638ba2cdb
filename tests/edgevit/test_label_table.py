"""Tables of class names: a column is what it holds, and a table with an unknown one is refused."""

from __future__ import annotations

from itertools import permutations

import pytest

from edgevit.errors import UsageError
from edgevit.label_table import check_rising, in_order, names_of_table

ANY_HEADING = (
    "", "Unnamed: 0", "id", "category_id", "target", "classId", "label_id", "train_id", "class_idx", "#", "nr", "no",
    "key", "code", "position", "order", "idx1", "label", "0",
)  # fmt: skip


@pytest.mark.parametrize("heading", ANY_HEADING)
def test_a_column_with_each_number_once_orders_the_names_whatever_it_is_called(heading: str) -> None:
    for order in permutations(range(3)):
        rows = [f"{number},{'abc'[number]}\n" for number in order]
        assert names_of_table(f"{heading},name\n" + "".join(rows), "l") == ("a", "b", "c")
        back = [f"{'abc'[number]},{number}\n" for number in order]
        assert names_of_table(f"name,{heading}\n" + "".join(back), "l") == ("a", "b", "c")


@pytest.mark.parametrize(
    "text",
    [
        "1,cat\n0,dog\n",
        "name\ndog\ncat\n",
        "dog\ncat\n",
        "id,name,\n1,cat,\n0,dog,\n",
        "index,id,name\n1,1,cat\n0,0,dog\n",
        "index,number,name\n0,1,dog\n1,2,cat\n",
        "id\tname\n1\tcat\n0\tdog\n",
        "wordnet;name\nn01440764;dog\nn01443537;cat\n",
        "n01440764,dog\nn01443537,cat\n",
        "name,id,wordnet\ncat,1,n01443537\ndog,0,n01440764\n",
        "id,name\n1,dog\n2,cat\n",
    ],
)
def test_what_is_understood(text: str) -> None:
    assert names_of_table(text, "l") == ("dog", "cat")


def test_names_that_are_numbers() -> None:
    assert names_of_table("index,name\n0,1\n1,0\n", "l") == ("1", "0")
    assert names_of_table("label\n3\n2\n", "l") == ("3", "2")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\nc,d\n", "which of the columns 'a', 'b' holds the names"),
        ("name,label\nc,d\n", "which of the columns 'name', 'label' holds the names"),
        ("index,name\nx,a\n", "which of the columns 'index', 'name' holds the names"),
        ("index,name\n0,a\n2,b\n", r"holds the names is not clear \(number 1 is missing\)"),
        ("index,label,count\n1,cat,4\n0,dog,3\n", "which of the columns 'index', 'label', 'count'"),
        ("name,r,g,b\na,1,2,3\nb,3,2,1\n", "which of the columns 'name', 'r', 'g', 'b'"),
        ("name,trainId,id\na,255,0\nb,0,1\n", "which of the columns 'name', 'trainId', 'id' holds the names"),
        ("rank,id,name\n0,1,cat\n1,0,dog\n", "which of the columns 'rank', 'id', 'name' holds the class numbers"),
        ("0,1\n1,0\n", "which of the columns column 1, column 2 holds the names"),
        ("a,b,name\nn01440764,n01440764,cat\n", "holds the WordNet ids"),
        ("id,name\n2,cat\n1,dog\n", "numbers from 1 to 2 in another order than the lines"),
        ("id,wordnet,name\n0,n01443537,cat\n1,n01440764,dog\n", "WordNet ids do not rise"),
        ("index,name\n0,a,b\n", "row 2 has 3 cells, the first has 2"),
        ('name\n"a', "are no CSV"),
        ("a," * 70 + "\n", "have 71 columns, expected at most 64"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        names_of_table(text, "l")


@pytest.mark.parametrize("text", ["", "\n\n", "name\n", "id,name\n", ",\n"])
def test_tables_without_names(text: str) -> None:
    assert names_of_table(text, "l") == ()


def test_numbers_from_one_in_any_order_only_where_order_says_nothing() -> None:
    assert in_order([2, 1], ["b", "a"], "l", any_order=True) == ("a", "b")
    with pytest.raises(UsageError, match="in another order"):
        in_order([2, 1], ["b", "a"], "l")


def test_wordnet_ids_rise_in_the_order_of_the_numbers() -> None:
    check_rising(["n00000002", "n00000001"], [1, 0], "l")
    with pytest.raises(UsageError, match="do not rise"):
        check_rising(["n00000002", "n00000001"], [], "l")
