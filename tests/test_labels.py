"""Labels go to the right pictures as the right numbers, or an error names the picture, the label and the remedy."""

import json
import unicodedata

import numpy as np
import pytest

from dataset_tools import labels
from dataset_tools.errors import DatasetError
from dataset_tools.labels import read_labels

NAMES = ["a.png", "cats/b.png", "dogs/c.png"]


def from_json(tmp_path, content, names=NAMES):
    path = tmp_path / "dataset.json"
    path.write_text(content if isinstance(content, str) else json.dumps({"labels": content}), encoding="utf-8")
    return read_labels(path, names)


def from_csv(tmp_path, content, names=NAMES):
    path = tmp_path / "labels.csv"
    path.write_text(content, encoding="utf-8")
    return read_labels(path, names)


def check(found, rows, names):
    assert found.rows.dtype == np.float32
    np.testing.assert_array_equal(found.rows, np.array(rows, np.float32))
    assert found.names == names
    assert (found.missing, found.surplus) == ([], [])


ONE_HOT = [[0, 0, 1], [1, 0, 0], [0, 0, 1]]


def test_first_folder_is_the_class():
    found = read_labels("folders", ["dogs/1.png", "cats/x/2.png", "dogs/x/3.png"])
    check(found, [[0, 1], [1, 0], [0, 1]], ["cats", "dogs"])


def test_picture_in_no_folder_has_no_label():
    found = read_labels("folders", NAMES)
    assert found.missing == [0]
    np.testing.assert_array_equal(found.rows, [[0, 0], [1, 0], [0, 1]])


def test_class_numbers_of_a_json_become_one_hot(tmp_path):
    check(from_json(tmp_path, [["cats/b.png", 0], ["a.png", 2], ["dogs/c.png", 2]]), ONE_HOT, ["0", "1", "2"])
    check(from_json(tmp_path, {"cats/b.png": 0, "a.png": 2, "dogs/c.png": 2}), ONE_HOT, ["0", "1", "2"])


def test_texts_become_one_hot_in_sorted_order(tmp_path):
    rows = [[0, 1], [1, 0], [0, 1]]
    check(from_json(tmp_path, [["a.png", "b"], ["cats/b.png", "a"], ["dogs/c.png", "b"]]), rows, ["a", "b"])
    check(from_csv(tmp_path, "file,label\na.png,b\ncats/b.png,a\ndogs/c.png,b\n"), rows, ["a", "b"])


def test_lists_and_fractions_stay_as_they_are(tmp_path):
    rows = [[0.5, -1], [1, 2], [3, 4]]
    check(from_json(tmp_path, list(map(list, zip(NAMES, rows, strict=True)))), rows, [])
    check(from_json(tmp_path, [["a.png", 1.5], ["cats/b.png", 2], ["dogs/c.png", 0]]), [[1.5], [2], [0]], [])


def test_csv_with_one_column_of_whole_numbers_gives_classes(tmp_path):
    content = "cats/b.png,0\na.png,2\n\ndogs/c.png,2\n"
    for text in (content, "file,label\n" + content, "\ufeff" + content, content.replace("\n", "\r\n")):
        check(from_csv(tmp_path, text), ONE_HOT, ["0", "1", "2"])


def test_csv_with_several_columns_gives_vectors_with_names(tmp_path):
    rows = [[1, -1], [0, 0.5], [1, 1]]
    content = "".join(f"{name},{x},{y}\n" for name, (x, y) in zip(NAMES, rows, strict=True))
    check(from_csv(tmp_path, content), rows, [])
    check(from_csv(tmp_path, "image_id,Smiling,Young\n" + content), rows, ["Smiling", "Young"])


def test_names_with_commas_and_quotes_are_read(tmp_path):
    found = from_csv(tmp_path, '"a, ""b"".png",1\nc.png,0\n', ['a, "b".png', "c.png"])
    check(found, [[0, 1], [1, 0]], ["0", "1"])


def test_both_spellings_of_an_accent_are_one_name(tmp_path):
    name = "caf\u00e9.png"
    content = [[unicodedata.normalize("NFD", name), 0]]
    check(from_json(tmp_path, content, [name]), [[1]], ["0"])
    check(from_json(tmp_path, [[name, 0]], [unicodedata.normalize("NFD", name)]), [[1]], ["0"])


def test_file_is_looked_for_in_the_container_too(tmp_path):
    class Container:
        def read_file(self, name):
            return b'{"labels": [["a.png", 0]]}' if name == "inside/dataset.json" else None

    check(read_labels("inside/dataset.json", ["a.png"], Container()), [[1]], ["0"])
    with pytest.raises(DatasetError, match=r"--labels gone.json cannot be read: No such file"):
        read_labels("gone.json", ["a.png"], Container())


def test_missing_and_surplus_labels_are_told(tmp_path):
    found = from_json(tmp_path, [["cats/b.png", 1], ["gone.png", 0], ["a.png", None]])
    assert (found.missing, found.surplus) == ([0, 2], ["gone.png"])
    np.testing.assert_array_equal(found.rows, [[0, 0], [0, 1], [0, 0]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("milk", r'is no JSON of the form \{"labels": \[\["a.png", 3\], …\]\}'),
        ("[]", "is no JSON of the form"),
        ("{}", "is no JSON of the form"),
        ("[" * 100_000, "is no JSON of the form"),
        ('{"labels": null}', 'has no labels under "labels"; leave out --labels'),
        ('{"labels": 3}', 'has no labels under "labels"'),
        ([], 'has no labels under "labels"'),
        ([["a.png"]], r'entry 0 of "labels" is not \[name, label\], but \[\'a.png\'\]; mend it'),
        ([[3, "a.png"]], r"entry 0 .* is not \[name, label\]"),
        ([["a.png", 0], ["a.png", 1]], "gives a.png two labels, 0 and 1; keep one"),
        (
            [["x.png", 0]],
            "has a label for none of the pictures: it names 'x.png', .* called 'a.png'; make the names agree",
        ),
        ([["a.png", None]], "has a label for none of the pictures: it is empty"),
        ([["a.png", -1]], "the label of a.png is -1; number the classes from 0"),
        ([["a.png", 10**9]], "the label of a.png is 1000000000; number the classes from 0, below 1,000,000"),
        ([["a.png", True]], "the label of a.png is True; give a class number, a text, or a list of numbers"),
        ([["a.png", {}]], r"the label of a.png is \{\}; give a class number"),
        ([["a.png", [[1]]]], r"the label of a.png is \[\[1\]\]; give labels of one kind"),
        ([["a.png", ["x"]]], "give labels of one kind"),
        ([["a.png", [True]]], "give labels of one kind"),
        ([["a.png", 1], ["cats/b.png", "x"]], "the label of cats/b.png is 'x'; give labels of one kind"),
        ([["a.png", [1, 2]], ["cats/b.png", [1]]], r"cats/b.png is \[1\]; give every picture as many numbers, 2 like"),
        ([["a.png", []]], r"a.png is \[\]; give every picture as many numbers"),
        ([["a.png", [float("nan")]]], r"a.png is \[nan\]; give finite numbers"),
        ([["a.png", [1e39]]], r"a.png is \[1e\+39\]; give finite numbers"),
        ([["a.png", [10**400]]], "a.png is .*…; give finite numbers"),
    ],
)
def test_wrong_json_is_named(tmp_path, content, message):
    with pytest.raises(DatasetError, match=rf"dataset\.json:? .*{message}"):
        from_json(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no lines of the form a.png,3"),
        ("a.png\n", "has no lines of the form"),
        ("file,label\n", "has a label for none of the pictures: it is empty"),
        ("a.png,1\ncats/b.png\n", "cats/b.png has 0 columns, others 1; mend it"),
        ("a.png,1,2\ncats/b.png,1,x\n", "has text in one of its 2 columns; give numbers, or one column"),
        ("file,x\na.png,1,2\n", "names 1 columns, but has 2; mend its first line"),
        ('a.png,"1\n', r"is no CSV \(unexpected end of data\); mend it"),
        ("a.png,0\na.png,1\n", "gives a.png two labels, 0 and 1; keep one"),
        ("a.png,nan\n", r"the label of a.png is nan; give finite numbers"),
    ],
)
def test_wrong_csv_is_named(tmp_path, content, message):
    with pytest.raises(DatasetError, match=rf"labels\.csv:? {message}"):
        from_csv(tmp_path, content)


def test_file_of_another_kind_is_named(tmp_path):
    (tmp_path / "x.txt").write_text("a.png 1")
    with pytest.raises(DatasetError, match=r"--labels .*x\.txt: give 'folders', a .json or a .csv file"):
        read_labels(tmp_path / "x.txt", NAMES)
    with pytest.raises(DatasetError, match=r"--labels .* cannot be read: Is a directory"):
        read_labels(tmp_path, NAMES)


def test_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"a\xff.png,1")
    with pytest.raises(DatasetError, match=r"x\.csv is no UTF-8 text .*; save it as UTF-8"):
        read_labels(tmp_path / "x.csv", NAMES)


def test_labels_that_would_fill_the_memory_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(labels, "MAX_LABEL_BYTES", 100)
    with pytest.raises(DatasetError, match=r"dataset.json has 11 classes, which takes .*; number the classes from 0"):
        from_json(tmp_path, [["a.png", 10]])
