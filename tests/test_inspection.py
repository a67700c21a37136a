"""display, extract, compare, info and stats of dataset_tool.py."""

import json
import sys
import types

import numpy as np
import pytest
from PIL import Image
from record_data import GOLDEN, left_in, noise, pictures, write

from dataset_tools import inspection
from dataset_tools.inspection import blocks, compare, contact_sheet, display, extract, info
from dataset_tools.overview import pixel_statistics, stats
from stylegan_tf.records import open_levels

IMAGES = noise(7, size=16)
LABELS = np.eye(7, 3, dtype=np.float32)


@pytest.fixture
def labelled(tmp_path):
    return write(tmp_path / "set", IMAGES, LABELS)


def test_blocks_hold_all_pictures_in_order(labelled, monkeypatch):
    monkeypatch.setattr(inspection, "BLOCK", 2 * 16 * 16 * 3)
    starts, parts = zip(*blocks(open_levels(labelled)[0]), strict=True)
    assert starts == (0, 2, 4, 6)
    np.testing.assert_array_equal(np.concatenate(parts), IMAGES)


@pytest.mark.parametrize("channels", [1, 3])
def test_extracted_pictures_are_the_images(tmp_path, channels):
    images = noise(3, size=8, channels=channels)
    extract(write(tmp_path / "set", images), tmp_path / "out")
    assert left_in(tmp_path / "out") == ["img00000000.png", "img00000001.png", "img00000002.png"]
    for index, image in enumerate(images):
        with Image.open(tmp_path / "out" / f"img{index:08d}.png") as picture:
            assert picture.mode == {1: "L", 3: "RGB"}[channels]
            np.testing.assert_array_equal(np.array(picture).reshape(image.shape), image)


def test_extraction_of_the_originals_data_gives_its_pictures(tmp_path):
    extract(GOLDEN / "rgb_noshuffle", tmp_path / "out")
    names = sorted((tmp_path / "out").glob("*.png"))
    np.testing.assert_array_equal([np.array(Image.open(path)) for path in names], pictures("png_rgb"))


def test_extracted_labels_go_with_their_pictures(labelled, tmp_path):
    extract(labelled, tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "dataset.json").read_text())["labels"]
    assert rows[2] == ["img00000002.png", [0.0, 0.0, 1.0]]
    assert len(rows) == 7


def test_what_an_interrupted_extraction_left_is_no_part_of_the_next(labelled, tmp_path):
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "img99999999.png").touch()
    extract(labelled, tmp_path / "out")
    assert len(left_in(tmp_path / "out")) == 8
    assert left_in(tmp_path) == ["out", "set"]


def test_extraction_into_a_full_folder_is_refused(labelled, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(ValueError, match="out exists already"):
        extract(labelled, tmp_path / "out")
    assert left_in(tmp_path / "out") == ["mine.txt"]


def test_equal_data_sets(labelled, tmp_path, capsys):
    other = write(tmp_path / "other", IMAGES, LABELS)
    assert compare(labelled, other)
    assert capsys.readouterr().out == "Identical images: 7 of 7\nIdentical labels: 7 of 7\n"


def test_different_images_and_labels_are_numbered(labelled, tmp_path, capsys):
    images, labels = IMAGES.copy(), LABELS.copy()
    images[4, 0, 0, 0] ^= 1
    labels[5] = 1
    other = write(tmp_path / "other", images, labels)
    assert not compare(labelled, other)
    assert capsys.readouterr().out == (
        "Different images: 4\nIdentical images: 6 of 7\nDifferent labels: 5\nIdentical labels: 6 of 7\n"
    )
    assert not compare(labelled, other, ignore_labels=True)
    assert "labels" not in capsys.readouterr().out


def test_labels_can_be_ignored(labelled, tmp_path):
    other = write(tmp_path / "other", IMAGES)
    assert not compare(labelled, other)
    assert compare(labelled, other, ignore_labels=True)


def test_shorter_and_other_shapes_are_said(labelled, tmp_path, capsys):
    assert not compare(labelled, write(tmp_path / "short", IMAGES[:5], LABELS[:5]))
    assert "The numbers of pictures differ: 7 and 5" in capsys.readouterr().out
    assert not compare(labelled, write(tmp_path / "small", noise(7, size=8)))
    assert "differ in shape: [3, 16, 16] and [3, 8, 8]" in capsys.readouterr().out


def test_info_counts_labels(tmp_path, capsys):
    facts = {"source": "create_from_images", "options": {"shuffle": 1}, "label_names": ["cat", "dog", "owl"]}
    info(write(tmp_path / "set", IMAGES, LABELS, description=facts))
    out = capsys.readouterr().out
    assert "7 RGB pictures of 16x16" in out
    assert "levels    16, 8, 4 pixels" in out
    assert "1  dog" in out
    assert "made by   create_from_images\n          shuffle: 1\n" in out


def test_info_of_the_originals_data(capsys):
    info(GOLDEN / "rgb_noshuffle")
    assert "encoding  raw, lower levels stored" in capsys.readouterr().out


def test_without_a_screen_there_is_a_contact_sheet(labelled, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    display(labelled)
    assert "Contact sheet: set-sheet.png" in capsys.readouterr().out
    with Image.open("set-sheet.png") as sheet:
        assert sheet.size == (7 * 96, 96)


def test_contact_sheet_shows_pictures_from_all_over_the_set(labelled):
    sheet = contact_sheet(open_levels(labelled)[0], width=3 * 96, height=96)
    np.testing.assert_array_equal(sheet[::6, ::6], np.concatenate(IMAGES[[0, 3, 6]], axis=1))


class FakeTk:
    """Tk as far as the window uses it; the user presses `keys`."""

    TclError = RuntimeError

    def __init__(self, keys):
        self.keys, self.shown, self.closed, self.key = iter(keys), [], False, None

    def Tk(self):
        window = types.SimpleNamespace(title=lambda text: None, bind=lambda *_: None, protocol=lambda *_: None)
        window.destroy = lambda: setattr(self, "closed", True)
        window.wait_variable = lambda _: setattr(self, "key", next(self.keys))
        return window

    def Label(self, root):
        return types.SimpleNamespace(pack=lambda: None, configure=lambda image: self.shown.append(image))

    def StringVar(self, root):
        return types.SimpleNamespace(get=lambda: self.key, set=lambda value: None)

    def PhotoImage(self, master, data, format):
        assert format == "PPM"
        return data


def test_window_goes_on_with_space_and_ends_with_escape(labelled, monkeypatch, capsys):
    tk = FakeTk(["a", "space", "Return", "Escape"])
    monkeypatch.setitem(sys.modules, "tkinter", tk)
    display(labelled)
    assert len(tk.shown) == 3
    assert tk.shown[0].startswith(b"P6 96 96 255 ")
    assert tk.closed
    assert capsys.readouterr().out.splitlines()[1] == "1: label [0.0, 1.0, 0.0]"


def test_pixel_statistics(labelled):
    mean, spread, histogram = pixel_statistics(open_levels(labelled)[0])
    np.testing.assert_allclose(mean, IMAGES.mean(axis=0))
    np.testing.assert_allclose(spread, IMAGES.std(axis=0), atol=1e-6)
    assert histogram.sum(axis=1).tolist() == [7 * 256] * 3
    assert histogram[1, 17] == (IMAGES[..., 1] == 17).sum()


@pytest.mark.parametrize("channels", [1, 3])
def test_stats_draws_a_picture(tmp_path, channels, capsys):
    images = np.full([3, 8, 8, channels], 100, np.uint8)
    stats(write(tmp_path / "set", images), tmp_path / "stats.png")
    assert "mean 100.00   standard deviation   0.00" in capsys.readouterr().out
    with Image.open(tmp_path / "stats.png") as picture:
        assert picture.size == (1600, 1300)
