"""CIFAR-10 and CIFAR-100 are read in both published versions, and a pickle is never unpickled."""

import os
import pickle
import struct
import warnings

import numpy as np
import pytest
from source_contract import check_source

from dataset_tools.cifar import cifar10, cifar100
from dataset_tools.errors import DatasetError

PIXELS = np.random.RandomState(0).randint(0, 256, [10, 3, 32, 32], np.uint8)
CLASSES = [3, 8, 8, 0, 6, 9, 1, 6, 3, 1]
FINE = [19, 29, 0, 11, 1, 86, 90, 28, 23, 99]
COARSE = [11, 15, 4, 14, 1, 5, 18, 3, 10, 17]


def write_binary10(directory, classes=CLASSES):
    """Two pictures in each of the five batches; returns the folder."""
    for batch in range(5):
        rows = [bytes([classes[i]]) + PIXELS[i].tobytes() for i in (2 * batch, 2 * batch + 1)]
        (directory / f"data_batch_{batch + 1}.bin").write_bytes(b"".join(rows))
    return directory


def write_binary100(directory):
    rows = [bytes([coarse, fine]) + pixels.tobytes() for coarse, fine, pixels in zip(COARSE, FINE, PIXELS, strict=True)]
    (directory / "train.bin").write_bytes(b"".join(rows))
    return directory


class Python2Pickle:
    """Bytes as Python 2's cPickle wrote them with protocol 2, in which the files are published."""

    def __init__(self, value):
        self.memoized = 0
        self.data = b"\x80\x02" + self.dump(value) + b"."

    def put(self):
        self.memoized += 1
        number = self.memoized
        return b"q" + bytes([number]) if number < 256 else b"r" + struct.pack("<I", number)

    def dump(self, value):
        if isinstance(value, dict):
            items = b"".join(self.dump(key) + self.dump(item) for key, item in value.items())
            return b"}" + self.put() + b"(" + items + b"u"
        if isinstance(value, list):
            start = b"]" + self.put()
            return start + b"(" + b"".join(map(self.dump, value)) + b"e"
        if isinstance(value, np.ndarray):
            return self.array(value)
        if isinstance(value, int):
            return b"K" + bytes([value]) if 0 <= value < 256 else b"J" + struct.pack("<i", value)
        text = value if isinstance(value, bytes) else value.encode("latin-1")
        size = b"U" + bytes([len(text)]) if len(text) < 256 else b"T" + struct.pack("<i", len(text))
        return size + text + self.put()

    def array(self, array):
        call = b"cnumpy.core.multiarray\n_reconstruct\n" + self.put() + b"cnumpy\nndarray\n" + self.put()
        call += b"K\x00\x85" + self.put() + self.dump("b") + b"\x87" + self.put() + b"R" + self.put()
        shape = (
            b"M" + struct.pack("<H", array.shape[0]) + b"M" + struct.pack("<H", array.shape[1]) + b"\x86" + self.put()
        )
        kind = b"cnumpy\ndtype\n" + self.put() + self.dump(array.dtype.str[1:]) + b"K\x00K\x01\x87" + self.put() + b"R"
        kind += (
            self.put() + b"(K\x03" + self.dump("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t" + self.put() + b"b"
        )
        return call + b"(K\x01" + shape + kind + b"\x89" + self.dump(array.tobytes()) + b"t" + self.put() + b"b"


def batch(pixels, classes, key="labels"):
    """What is in a file of the Python version."""
    names = [f"leptodactylus_pentadactylus_s_{number:06d}.png" for number in range(len(classes))]
    content = {"batch_label": "training batch 1 of 5", key: classes, "data": pixels.reshape(-1, 3072)}
    return content | {"filenames": names}


def write_python10(directory):
    for number in range(5):
        both = slice(2 * number, 2 * number + 2)
        data = Python2Pickle(batch(PIXELS[both], CLASSES[both])).data
        (directory / f"data_batch_{number + 1}").write_bytes(data)
    return directory


def write_python100(directory):
    content = batch(PIXELS, FINE, "fine_labels") | {"coarse_labels": COARSE}
    (directory / "train").write_bytes(Python2Pickle(content).data)
    return directory


@pytest.mark.parametrize("write", [write_binary10, write_python10])
def test_cifar10_is_read_in_both_versions(tmp_path, write):
    source = cifar10(write(tmp_path))
    images = check_source(source, (32, 32, 3), 10)
    np.testing.assert_array_equal(images, PIXELS.transpose(0, 2, 3, 1))
    assert source.labels.argmax(axis=1).tolist() == CLASSES
    assert source.label_names[6] == "frog"
    assert source.notes() == ["10 pictures; CIFAR-10 as published has 50000"]


@pytest.mark.parametrize("write", [write_binary100, write_python100])
def test_cifar100_has_the_fine_labels_in_both_versions(tmp_path, write):
    source = cifar100(write(tmp_path))
    images = check_source(source, (32, 32, 3), 100)
    np.testing.assert_array_equal(images, PIXELS.transpose(0, 2, 3, 1))
    assert source.labels.argmax(axis=1).tolist() == FINE
    np.testing.assert_array_equal(source.labels.sum(axis=1), 1)


def test_a_python_file_of_full_length_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("dataset_tools.cifar.PIXELS", (3, 1, 1))
    monkeypatch.setattr("dataset_tools.cifar.BYTES", 3)
    pixels = np.arange(150000, dtype=np.uint32).astype(np.uint8).reshape(50000, 3)
    fine, coarse = ([number % size for number in range(50000)] for size in (100, 20))
    content = batch(PIXELS, fine, "fine_labels") | {"coarse_labels": coarse, "data": pixels}
    (tmp_path / "train").write_bytes(Python2Pickle(content).data)
    source = cifar100(tmp_path)
    assert (len(source), source.notes()) == (50000, [])
    assert source[49999].tolist() == [[pixels[49999].tolist()]]


def test_the_python_files_of_these_tests_are_what_python_itself_reads(tmp_path):
    data = (write_python10(tmp_path) / "data_batch_1").read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy has moved what the published files name
        content = pickle.loads(data, encoding="latin1")
    assert content["labels"] == CLASSES[:2]
    np.testing.assert_array_equal(content["data"], PIXELS[:2].reshape(2, 3072))


def test_names_of_the_100_classes_are_taken_along(tmp_path):
    names = [f"class_{number}" for number in range(100)]
    assert cifar100(write_binary100(tmp_path)).label_names == []
    (tmp_path / "fine_label_names.txt").write_text("\n".join(names) + "\n\n")
    assert cifar100(tmp_path).label_names == names


def test_a_pickle_that_runs_something_is_refused(tmp_path):
    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    (tmp_path / "train").write_bytes(pickle.dumps({"data": Harmful()}, protocol=2))
    with pytest.raises(DatasetError, match=r"train is not of CIFAR's Python version: .*mkdir.* binary version"):
        cifar100(tmp_path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "no dictionary"),
        ({"data": "x", "fine_labels": FINE}, "no array data"),
        ({"data": PIXELS.reshape(10, 3072)[:, :96], "fine_labels": FINE}, "not uint8"),
        ({"data": PIXELS.reshape(10, 3072).astype("<u2"), "fine_labels": FINE}, "not uint8"),
        (batch(PIXELS, FINE, "labels"), "no list of whole numbers fine_labels"),
        (batch(PIXELS, FINE[:9], "fine_labels"), "10 pictures and 9 labels"),
    ],
)
def test_what_is_wrong_with_a_python_file_is_named(tmp_path, content, message):
    (tmp_path / "train").write_bytes(Python2Pickle(content).data)
    with pytest.raises(DatasetError, match=message):
        cifar100(tmp_path)


def test_a_cut_file_is_named(tmp_path):
    path = write_binary10(tmp_path) / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DatasetError, match=r"data_batch_3.bin has 6145 bytes, not a multiple of 3073.*cut short"):
        cifar10(tmp_path)


def test_a_class_out_of_range_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"data_batch_2.bin gives picture 1 the class 10, .* from 0 to 9"):
        cifar10(write_binary10(tmp_path, [0, 0, 0, 10, 0, 0, 0, 0, 0, 0]))


def test_missing_files_come_with_the_page_that_has_them(tmp_path):
    with pytest.raises(DatasetError, match=r"does not hold train.bin; .*www.cs.toronto.edu/~kriz/cifar.html"):
        cifar100(tmp_path)
    (write_binary10(tmp_path) / "data_batch_4.bin").unlink()
    with pytest.raises(DatasetError, match=r"does not hold data_batch_4.bin; "):
        cifar10(tmp_path)
