"""A folder of whatever pictures becomes a sequence of one shape, and nothing is changed silently."""

import json
import os
import threading

import numpy as np
import pytest
from picture_data import encoded, random_image, save
from PIL import Image
from record_data import GOLDEN, noise, pictures

from dataset_tools.errors import DatasetError
from dataset_tools.labels import Labels
from dataset_tools.sources import PictureSource


def everything(source):
    return np.stack([source[index] for index in range(len(source))])


# ---------------------------------------------------------------------------------------------------------------------
# Without --resolution: as they are


@pytest.mark.parametrize("folder", ["png_gray", "png_rgb"])
def test_pictures_are_taken_as_they_are(folder):
    source = PictureSource(GOLDEN / folder)
    np.testing.assert_array_equal(everything(source), pictures(folder))
    assert source.names == [path.name for path in sorted((GOLDEN / folder).glob("*.png"))]
    assert (source.labels.shape, source.label_names, source.notes()) == ((len(source), 0), [], [])
    assert source.shape == source[0].shape


@pytest.mark.parametrize(
    ("size", "advice"), [((16, 8), 8), ((12, 12), 8), ((4, 4), 8), ((100, 300), 64), ((2048, 2048), 1024)]
)
def test_first_picture_must_be_a_square_of_a_power_of_two(tmp_path, size, advice):
    save(tmp_path / "a.png", size)
    found = f"{size[0]}x{size[1]} pixels"
    with pytest.raises(DatasetError, match=rf"a\.png is {found}, no square of 8, .*with --resolution {advice}$"):
        PictureSource(tmp_path)


@pytest.mark.parametrize(
    ("size", "mode", "message"),
    [
        ((16, 16), "RGB", "is 16x16 pixels, the first picture, a.png, is 8x8; make all alike with --resolution 16"),
        ((9, 8), "RGB", "is 9x8 pixels, the first"),
    ],
)
def test_picture_unlike_the_first_is_named(tmp_path, size, mode, message):
    save(tmp_path / "a.png")
    save(tmp_path / "b.png", size, mode)
    source = PictureSource(tmp_path)
    with pytest.raises(DatasetError, match=rf"/b\.png {message}"):
        source[1]


# ---------------------------------------------------------------------------------------------------------------------
# With --resolution


@pytest.mark.parametrize("size", [(16, 16), (20, 30), (300, 17)])
def test_every_picture_gets_the_resolution(tmp_path, size):
    save(tmp_path / "a.png", size)
    source = PictureSource(tmp_path, resolution=16)
    assert source[0].shape == source.shape == (16, 16, 3)
    assert source.notes() == []


def test_what_is_enlarged_is_noted(tmp_path):
    save(tmp_path / "a.png", (8, 30))
    save(tmp_path / "b.png", (16, 30))
    source = PictureSource(tmp_path, resolution=16)
    assert everything(source).shape == (2, 16, 16, 3)
    assert source.notes() == ["1 of 2 pictures: smaller than --resolution, scaled up"]


def test_options_reach_the_transform(tmp_path):
    Image.fromarray(noise(1, 32)[0][:24]).save(tmp_path / "a.png")
    options = [
        dict(resolution=16),
        dict(resolution=16, transform="letterbox"),
        dict(resolution=16, transform="stretch"),
        dict(resolution=16, transform="stretch", resize_filter="box"),
        dict(resolution=16, transform="random-crop"),
        dict(resolution=16, transform="random-crop", seed=6),
        dict(resolution=(16, 4), transform="center-crop-wide"),
    ]
    assert len({PictureSource(tmp_path, **option)[0].tobytes() for option in options}) == len(options)


# ---------------------------------------------------------------------------------------------------------------------
# Colours


def test_gray_pictures_after_a_colour_one_become_rgb(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "b.png", mode="L")
    source = PictureSource(tmp_path)
    gray = np.array(random_image(mode="L"))
    np.testing.assert_array_equal(source[1], np.stack([gray] * 3, 2))
    assert source.notes() == ["1 of 2 pictures: grayscale, made RGB"]


def test_colour_picture_after_a_gray_one_is_an_error_with_a_remedy(tmp_path):
    save(tmp_path / "a.png", mode="L")
    save(tmp_path / "b.png")
    with pytest.raises(DatasetError, match=r"b\.png is RGB, the first picture, a\.png, is grayscale; .*--channels 3"):
        PictureSource(tmp_path)[1]
    assert everything(PictureSource(tmp_path, channels=3)).shape == (2, 8, 8, 3)
    source = PictureSource(tmp_path, channels=1)
    np.testing.assert_array_equal(source[1][:, :, 0], np.array(random_image().convert("L")))
    assert source.notes() == ["1 of 2 pictures: RGB, made grayscale"]


def test_gray_first_picture_leaves_out_no_colour_ones_when_skipping(tmp_path):
    save(tmp_path / "0.png", mode="L")
    (tmp_path / "1.png").write_bytes(b"milk")
    for index in range(2, 6):
        save(tmp_path / f"{index}.png", seed=index)
    source = PictureSource(tmp_path, on_error="skip")
    assert [source[index].shape for index in (0, 2, 3, 4, 5)] == [(8, 8, 3)] * 5
    assert source.notes() == ["1 of 6 pictures: grayscale, made RGB"]
    assert PictureSource(tmp_path, on_error="skip", channels=1).shape == (8, 8, 1)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16"])
def test_gray_pictures_stay_gray_when_skipping(tmp_path, mode):
    save(tmp_path / "0.png", mode="L")
    Image.new(mode, (8, 8)).save(tmp_path / "1.png")
    assert PictureSource(tmp_path, on_error="skip").shape == (8, 8, 1)


def test_fourth_channel_is_kept_on_demand(tmp_path):
    save(tmp_path / "a.png", mode="RGBA")
    save(tmp_path / "b.png")
    for source in (PictureSource(tmp_path, background="keep"), PictureSource(tmp_path, channels=4)):
        np.testing.assert_array_equal(source[0], np.array(random_image(mode="RGBA")))
        assert (source[1][:, :, 3] == 255).all()
        assert source.notes() == ["1 of 2 pictures: RGB, made RGB with transparency"]


def test_transparency_after_an_opaque_picture_is_an_error_with_a_remedy(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "b.png", mode="RGBA")
    with pytest.raises(DatasetError, match=r"b\.png is RGB with transparency, .* is RGB; .*--channels 4"):
        PictureSource(tmp_path, background="keep")[1]


@pytest.mark.parametrize(("background", "value"), [("white", 255), ("black", 0), ("#808080", 128), ((7, 7, 7), 7)])
def test_background_is_a_colour(tmp_path, background, value):
    Image.new("RGBA", (8, 8)).save(tmp_path / "a.png")
    source = PictureSource(tmp_path, background=background)
    assert set(source[0].flat) == {value}
    assert source.notes() == [f"1 of 1 pictures: transparency, put onto #{value:02x}{value:02x}{value:02x}"]


# ---------------------------------------------------------------------------------------------------------------------
# Labels, mirroring, identity


def labelled(tmp_path):
    for index, name in enumerate(["cats/a.png", "dogs/b.png", "dogs/c.png"]):
        save(tmp_path / "x" / name, seed=index)
    return tmp_path / "x"


def test_labels_come_from_folders_or_a_file_inside(tmp_path):
    path = labelled(tmp_path)
    source = PictureSource(path, labels="folders")
    np.testing.assert_array_equal(source.labels, [[1, 0], [0, 1], [0, 1]])
    assert source.label_names == ["cats", "dogs"]
    (path / "dataset.json").write_text(
        json.dumps({"labels": [[name, [index, 0.5]] for index, name in enumerate(source.names)]})
    )
    source = PictureSource(path, labels="dataset.json")
    np.testing.assert_array_equal(source.labels, [[0, 0.5], [1, 0.5], [2, 0.5]])


def test_picture_without_a_label_is_an_error_or_skipped(tmp_path):
    path = labelled(tmp_path)
    save(path / "a.png")
    with pytest.raises(DatasetError, match=r"x/a\.png has no label in folders \(1 such pictures\); .*--on-error skip"):
        PictureSource(path, labels="folders")
    source = PictureSource(path, labels="folders", on_error="skip")
    assert source[1].shape == (8, 8, 3)
    with pytest.raises(DatasetError, match=r"x/a\.png has no label; give it one"):
        source[0]


def test_label_without_a_picture_is_an_error_or_noted(tmp_path):
    path = labelled(tmp_path)
    file = tmp_path / "labels.csv"
    file.write_text("cats/a.png,0\ndogs/b.png,1\ndogs/c.png,1\ngone.png,1\n")
    with pytest.raises(
        DatasetError, match=r"labels\.csv has a label for gone\.png, which is not among .*--on-error skip"
    ):
        PictureSource(path, labels=file)
    source = PictureSource(path, labels=str(file), on_error="skip")
    np.testing.assert_array_equal(source.labels, [[1, 0], [0, 1], [0, 1]])
    assert source.notes() == ["labels of no picture, left out: 1, as gone.png"]


def test_mirroring_doubles_pictures_and_labels(tmp_path):
    path = labelled(tmp_path)
    plain, mirrored = PictureSource(path, labels="folders"), PictureSource(path, labels="folders", mirror=True)
    assert mirrored.names == [*plain.names, *(f"{name} (mirrored)" for name in plain.names)]
    np.testing.assert_array_equal(everything(mirrored), np.concatenate([p := everything(plain), p[:, :, ::-1]]))
    np.testing.assert_array_equal(mirrored.labels, np.tile(plain.labels, (2, 1)))


def test_mirrored_random_crop_is_the_mirrored_crop(tmp_path):
    save(tmp_path / "a.png", (80, 8))
    source = PictureSource(tmp_path, resolution=8, transform="random-crop", mirror=True)
    np.testing.assert_array_equal(source[1], source[0][:, ::-1])


def test_stamp_is_the_identity_of_files_options_and_labels(tmp_path):
    path = labelled(tmp_path)
    stamps = [
        PictureSource(path).stamp,
        PictureSource(path, mirror=True).stamp,
        PictureSource(path, resolution=16).stamp,
        PictureSource(path, resolution=16, transform="stretch").stamp,
        PictureSource(path, labels="folders").stamp,
        PictureSource(path, background="black").stamp,
    ]
    os.utime(path / "cats" / "a.png", (1, 1))
    stamps.append(PictureSource(path).stamp)
    assert len(set(stamps)) == len(stamps)
    assert PictureSource(path).stamp == stamps[-1]


def test_several_threads_read_the_same_pictures_and_count_each_once(tmp_path):
    for index in range(20):
        save(tmp_path / f"{index:02}.png", (20, 30), "RGBA", index)
    source = PictureSource(tmp_path, resolution=8)
    results = [None] * 4

    def work(thread):
        results[thread] = everything(source)

    threads = [threading.Thread(target=work, args=[thread]) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        np.testing.assert_array_equal(result, everything(source))
    assert source.notes() == ["20 of 20 pictures: transparency, put onto #ffffff"]


# ---------------------------------------------------------------------------------------------------------------------
# What is wrong


def test_bad_first_picture_is_an_error_or_the_next_one_decides(tmp_path):
    (tmp_path / "a.png").write_bytes(b"milk")
    with pytest.raises(DatasetError, match=r"a\.png is no picture"):
        PictureSource(tmp_path)
    with pytest.raises(DatasetError, match=r": no picture can be used; the last one: .*a\.png is no picture"):
        PictureSource(tmp_path, on_error="skip")
    save(tmp_path / "b.png")
    source = PictureSource(tmp_path, on_error="skip")
    assert source.shape == source[1].shape == (8, 8, 3)
    with pytest.raises(DatasetError, match=r"a\.png is no picture"):
        source[0]


def test_index_beyond_the_end_ends_a_loop(tmp_path):
    save(tmp_path / "a.png")
    assert len(list(PictureSource(tmp_path))) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(channels=2), "--channels must be auto, 1, 3 or 4, not 2"),
        (dict(channels=3, background="keep"), "--background keep makes a fourth channel, --channels 3 forbids it"),
        (dict(background="whiteish"), "--background 'whiteish' is no colour"),
        (dict(transform="letterbox"), "--transform and --resize-filter need --resolution"),
        (dict(resize_filter="box"), "--transform and --resize-filter need --resolution"),
        (dict(resolution=0), "--resolution must be a power of two from 8 to 1024, not 0"),
        (dict(resolution=100), "--resolution must be a power of two from 8 to 1024, not 100"),
        (dict(resolution=16, transform="crop"), "--transform must be one of"),
        (dict(on_error="ignore"), "--on-error must be fail or skip, not 'ignore'"),
    ],
)
def test_wrong_options_are_named(tmp_path, options, message):
    save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=message):
        PictureSource(tmp_path, **options)


def test_anything_like_a_container_will_do(tmp_path):
    class Memory:
        path, names, stamp = "memory", ["one", "two"], "0"

        def __len__(self):
            return 2

        def read(self, index):
            return encoded(random_image(seed=index))

        def full_name(self, name):
            return f"memory {name}"

        def notes(self):
            return []

    source = PictureSource(Memory(), labels=Labels(np.eye(2, dtype=np.float32), ["a", "b"]))
    np.testing.assert_array_equal(source[1], np.array(random_image(seed=1)))
    assert (source.names, source.label_names, source.labels.tolist()) == (["one", "two"], ["a", "b"], [[1, 0], [0, 1]])
