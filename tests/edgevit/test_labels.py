"""Label files as people write them: understood, or named in words; never taken for something else."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import pytest

from edgevit.errors import UsageError
from edgevit.labels import read_labels

NAMES = ("tench, Tinca tinca", "goldfish", "great white shark")


def read(tmp_path: Path, content: str | bytes, name: str = "labels.txt") -> tuple[str, ...]:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_labels(path)


@pytest.mark.parametrize("content", ["cat\ndog\n", "cat\r\ndog", "cat\rdog\r", "\ufeffcat\ndog\n\n\n", " cat \ndog"])
def test_names_in_order(tmp_path: Path, content: str) -> None:
    assert read(tmp_path, content) == ("cat", "dog")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_names_in_other_encodings(tmp_path: Path, encoding: str) -> None:
    assert read(tmp_path, "Katze\nKüken\n猫\n".encode(encoding)) == ("Katze", "Küken", "猫")


def test_separators_that_only_python_takes_for_ends_of_lines_are_shown(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"name 1 holds characters that cannot be shown: 'cat\\u2028dog'"):
        read(tmp_path, "cat\u2028dog\nbird\n")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.txt", "\n".join(NAMES)),
        ("synset_words.txt", "".join(f"n0{1440764 + at} {name}\n" for at, name in enumerate(NAMES))),
        ("colon.txt", "".join(f"{at}: {name}\n" for at, name in enumerate(NAMES))),
        ("space.txt", "".join(f"{at} {name}\n" for at, name in enumerate(NAMES))),
        ("tab.txt", "".join(f"{at}\t{name}\n" for at, name in enumerate(NAMES))),
        ("from_1.txt", "".join(f"{at}. {name}\n" for at, name in enumerate(NAMES, 1))),
        ("shuffled.txt", "".join(f"{at}: {NAMES[at]}\n" for at in (2, 0, 1))),
        ("dictionary.txt", "{" + ",\n ".join(f"{at}: {name!r}" for at, name in enumerate(NAMES)) + "}\n"),
        ("lines_of_braces.txt", "{\n" + ",\n".join(f"{at}: {name!r}" for at, name in enumerate(NAMES)) + ",\n}\n"),
        ("quoted.txt", ",\n".join(json.dumps(name) for name in NAMES)),
        ("list.json", json.dumps(NAMES)),
        ("list.txt", json.dumps(NAMES, indent=1)),
        ("map.json", json.dumps({str(at): NAMES[at] for at in (2, 1, 0)})),
        ("other_way.json", json.dumps({name: at for at, name in enumerate(NAMES)})),
        ("keras.json", json.dumps({at: [f"n0144076{at}", name] for at, name in enumerate(NAMES)})),
        ("config.json", json.dumps({"id2label": dict(enumerate(NAMES)), "architectures": ["EdgeViT"]})),
        ("heading.csv", "index,name\n" + "".join(f'{at},"{NAMES[at]}"\n' for at in (1, 2, 0))),
        ("semicolon.csv", "label;wordnet\n" + "".join(f"{name};n0144076{at}\n" for at, name in enumerate(NAMES))),
        ("numbered.csv", "".join(f'{at},"{name}"\n' for at, name in enumerate(NAMES))),
        ("one.csv", "label\n" + "".join(f'"{name}"\n' for name in NAMES)),
        ("columns.tsv", "class_id\tclass_name\n" + "".join(f"{at}\t{name}\n" for at, name in enumerate(NAMES))),
    ],
)
def test_every_form_gives_the_same_names(tmp_path: Path, name: str, content: str) -> None:
    assert read(tmp_path, content, name) == NAMES
    assert read(tmp_path, codecs.BOM_UTF16_LE + content.encode("utf-16-le"), name) == NAMES


@pytest.mark.parametrize(
    "names", [("0", "1", "2"), ("3D printer", "abacus", "zebra"), ("n01440764", "n01443537"), ("crane", "crane")]
)
def test_names_that_only_look_like_something_else(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert read(tmp_path, "\n".join(names)) == names


@pytest.mark.parametrize(
    "content",
    [
        "cat: 1\ndog: 0",
        "cat,1\ndog,0",
        "cat 1\ndog 0",
        "cat\t1\ndog\t0",
        "1=cat\n0=dog",
        '1="cat"\n0="dog"',
        "1 - cat\n0 - dog",
        "1 -> cat\n0 -> dog",
        "1 | cat\n0 | dog",
        '"1": "cat",\n"0": "dog",',
        "{'cat':1,'dog':0}",
        "{'cat': 1,\n 'dog': 0,\n}",
        "{1: 'cat', 0: 'dog'}",
        "{'1': 'cat', '0': 'dog'}",
        "['dog', 'cat']",
        '["dog", "cat"]',
        "dog,\ncat,",
        "n01440764 0 dog\nn01443537 1 cat",
        "1 n01443537 cat\n0 n01440764 dog",
    ],
)
def test_numbers_on_either_side_order_the_names(tmp_path: Path, content: str) -> None:
    assert read(tmp_path, content) == ("dog", "cat")
    assert read_labels(str(tmp_path / "labels.txt")) == ("dog", "cat")


@pytest.mark.parametrize(
    "names",
    [
        ("2", "1", "0"),
        ("class 0", "class 1", "class 2"),
        ("LABEL_0", "LABEL_1"),
        ("Boeing 737", "Boeing 747", "Airbus A380"),
        ("Audi TT Coupe 2011", "Audi TT Coupe 2012"),
    ],
)
def test_numbers_that_are_part_of_the_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert read(tmp_path, "\n".join(names)) == names


def test_quotes_in_printed_names(tmp_path: Path) -> None:
    names = ("jack-o'-lantern", 'a "b"', "c\\d, e: 1")
    assert read(tmp_path, str(dict(enumerate(names)))) == names
    assert read(tmp_path, str(list(names))) == names


def test_a_json_list_is_taken_as_it_stands(tmp_path: Path) -> None:
    names = ("1 euro", "2 euro", "# 1", "n02119789 kit fox", "5: five")
    assert read(tmp_path, json.dumps(names)) == names


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("l.txt", b"", "hold no names"),
        ("l.txt", b"\n \n", "hold no names"),
        ("l.txt", b"cat\n\ndog\n", "line 2 is empty"),
        ("l.txt", b"\xff\xfe\x00", "no UTF-16-LE text: byte 3"),
        ("l.txt", b"cat\nd\xf6g\n", r"no UTF-8 text: byte 6 \(line 2\) is 0xf6"),
        ("l.txt", "0: a\n2: b\n", "number 1 is missing"),
        ("l.txt", "0: a\n1: b\n1: c\n", "number 1 stands twice"),
        ("l.txt", "5 dollars\n10 dollars\n", "number 1 is missing"),
        ("l.txt", "1 euro\n2 euro\n3 euro\n", "may number the lines or be part of the names"),
        ("l.txt", "0: a\n1: b\nc\n", "line 3, 'c', has no number"),
        ("l.txt", "n01440764 a\nn01443537 b\nc\n", "line 3, 'c', has no WordNet id"),
        ("l.txt", "n02119789 1 kit_fox\nn02100735 2 English_setter\n", "WordNet ids do not rise"),
        ("l.txt", "tench\tTinca\ngoldfish\tCarassius\n", "several columns"),
        ("l.txt", "# classes\ntench\n", "a remark is no name"),
        ("l.pbtxt", "item {\n  id: 1\n  name: 'person'\n}\n", "label map of TensorFlow"),
        ("l.html", "<!DOCTYPE html>\n<p>tench\n", "web page"),
        ("data.yaml", "names:\n  0: person\n", "YAML is not read"),
        ("l.json", "{}", "hold no names"),
        ("l.json", "[]", "hold no names"),
        ("l.json", '"tench"', "hold no names"),
        ("l.json", '["tench", 3]', "'3' is no name"),
        ("l.json", '["tench", ""]', "name 2 is empty"),
        ("l.json", '{"0": "a", "2": "b"}', "number 1 is missing"),
        ("l.json", '{"a": "b"}', "are no numbers of classes"),
        ("l.json", '{"0": ["a", "b"]}', "is no name"),
        ("l.json", '{"0": "a", "0": "b"}', "'0' stands twice"),
        ("l.txt", "2 cat\n1 dog\n", "numbers from 1 to 2 in another order than the lines"),
        ("l.txt", "id,name\n1,cat\n0,dog\n", "line 1, 'id,name', has no number as most others have"),
        ("l.txt", "name,id\ncat,1\ndog,0\n", "line 1, 'name,id', has no number at its end"),
        ("l.txt", "name id\ncat 1\ndog 0\n", "may number the lines or be part of the names"),
        ("l.txt", "cat,7\ndog,0\n", "number 1 is missing"),
        ("l.txt", "1-cat\n0-dog\n", "may number the lines or be part of the names"),
        ("l.txt", "cat_1\ndog_0\n", "may number the lines or be part of the names"),
        ("l.txt", "class 1\nclass 0\n", "may number the lines or be part of the names"),
        ("l.txt", "(1) cat\n(0) dog\n", "may number the lines or be part of the names"),
        ("l.txt", "0,cat,5\n1,dog,7\n", "numbers stand before and behind the names: '0,cat,5'"),
        ("l.txt", "1.5 cat\n2.5 dog\n", "may number the lines or be part of the names"),
        ("l.txt", "- cat\n- dog\n", "list of YAML"),
        ("l.txt", "n01443537 0 goldfish\nn01440764 1 tench\n", "WordNet ids do not rise"),
        ("l.txt", "1 n02119789 kit_fox\n2 n02100735 setter\n", "WordNet ids do not rise"),
        ("l.txt", "{-1: 'cat', 0: 'dog'}", "not valid JSON"),
        ("l.txt", "{9**9**9: 'a'}", "not valid JSON"),
        ("l.txt", "{0: __import__('os')}", "not valid JSON"),
        ("l.txt", "{0: 'a' 'b', 1: 'c'}", "not valid JSON"),
        ("l.txt", "{0: 'cat', 0: 'dog'}", "number 0 stands twice"),
        ("l.txt", "{'cat': 1, 'dog': 1}", "number 1 stands twice"),
        ("l.txt", "[cat]\n[dog]\n", "not valid JSON"),
        ("l.txt", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "a git LFS pointer"),
        ("l.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "a git LFS pointer"),
        ("l.txt", "a\x1b[31m\nb\n", r"name 1 holds characters that cannot be shown: 'a\\x1b\[31m'"),
    ],
)
def test_what_is_not_clear_is_refused(tmp_path: Path, name: str, content: str | bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        read(tmp_path, content, name)
    assert caught.value.message.isprintable()


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read labels .*: No such file"):
        read_labels(tmp_path / "none.txt")
