"""CelebA's aligned faces are cropped as in the original, from PNG files, JPEG files or the published archive."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image
from source_contract import check_source

from dataset_tools.celeba import celeba
from dataset_tools.errors import DatasetError

FACES = np.random.RandomState(0).randint(0, 256, [3, 218, 178, 3], np.uint8)
NAMES = [f"Attribute_{number}" for number in range(40)]


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr("dataset_tools.celeba.PUBLISHED", 3)


def write(directory, folder="img_align_celeba_png", suffix="png", faces=FACES):
    (directory / folder).mkdir(exist_ok=True)
    for number, face in enumerate(faces, 1):
        Image.fromarray(face).save(directory / folder / f"{number:06d}.{suffix}")
    return directory


def test_the_crop_is_128_pixels_around_its_middle(tmp_path):
    source = celeba(write(tmp_path))
    images = check_source(source, (128, 128, 3))
    np.testing.assert_array_equal(images, FACES[:, 121 - 64 : 121 + 64, 89 - 64 : 89 + 64])
    assert list(source.names) == ["000001.png", "000002.png", "000003.png"]
    assert source.notes() == []


@pytest.mark.parametrize(("cx", "cy"), [(64, 64), (114, 154), (80, 100)])
def test_the_middle_can_be_moved_up_to_the_edges(tmp_path, cx, cy):
    image = celeba(write(tmp_path), cx=cx, cy=cy)[1]
    np.testing.assert_array_equal(image, FACES[1, cy - 64 : cy + 64, cx - 64 : cx + 64])


@pytest.mark.parametrize(("option", "value"), [("cx", 63), ("cx", 115), ("cy", 63), ("cy", 155)])
def test_a_crop_beyond_the_picture_is_refused(tmp_path, option, value):
    with pytest.raises(ValueError, match=f"--{option} must be from 64 to .*, not {value}"):
        celeba(write(tmp_path), **{option: value})


def test_another_number_of_png_files_is_the_originals_error(tmp_path):
    with pytest.raises(DatasetError, match="Expected to find 3 images, found 2"):
        celeba(write(tmp_path, faces=FACES[:2]))


def test_another_number_of_jpeg_files_is_noted(tmp_path):
    source = celeba(write(tmp_path, "img_align_celeba", "jpg", FACES[:2]))
    assert source.notes() == ["2 pictures; CelebA as published has 3"]


def test_jpeg_files_are_read_in_a_folder_and_in_the_archive(tmp_path):
    write(tmp_path, "img_align_celeba", "jpg")
    from_folder = check_source(celeba(tmp_path), (128, 128, 3))
    paths = sorted((tmp_path / "img_align_celeba").iterdir())
    decoded = np.stack([np.array(Image.open(io.BytesIO(path.read_bytes()))) for path in paths])
    np.testing.assert_array_equal(from_folder, decoded[:, 57:185, 25:153])
    with zipfile.ZipFile(tmp_path / "img_align_celeba.zip", "w") as archive:
        for path in paths:
            archive.write(path, f"img_align_celeba/{path.name}")
            path.unlink()
    (tmp_path / "img_align_celeba").rmdir()
    np.testing.assert_array_equal(check_source(celeba(tmp_path), (128, 128, 3)), from_folder)


@pytest.mark.parametrize("face", [FACES[0, :, :177], FACES[0, :217], FACES[0, :, :, 0]])
def test_a_picture_of_another_shape_is_named(tmp_path, face):
    source = celeba(write(tmp_path, faces=[FACES[0], face, FACES[2]]))
    with pytest.raises(DatasetError, match=r"000002.png is 17[78]x21[78] (RGB|L), not 178x218 RGB"):
        source[1]
    np.testing.assert_array_equal(source[2], FACES[2, 57:185, 25:153])


def test_a_missing_folder_comes_with_the_page_that_has_it(tmp_path):
    with pytest.raises(DatasetError, match=r"holds neither img_align_celeba_png nor img_align_celeba; .*mmlab"):
        celeba(tmp_path)


# ---------------------------------------------------------------------------------------------------------------------
# Attributes


def write_attributes(path, rows):
    lines = [f"{name}.jpg " + " ".join(f"{value:2d}" for value in values) for name, values in rows.items()]
    path.write_text("\n".join([str(len(rows)), " ".join(NAMES) + " ", *lines]) + "\n")
    return path


@pytest.fixture
def rows():
    signs = np.random.RandomState(1).choice([-1, 1], [4, 40])
    return {f"{number:06d}": row.tolist() for number, row in zip([3, 1, 2, 4], signs, strict=True)}


def test_attributes_become_40_labels_of_0_and_1(tmp_path, rows):
    path = write_attributes(tmp_path / "list_attr_celeba.txt", rows)
    source = celeba(write(tmp_path), attributes=path)
    check_source(source, (128, 128, 3), 40)
    assert source.label_names == NAMES
    expected = [[(value + 1) / 2 for value in rows[name]] for name in ("000001", "000002", "000003")]
    np.testing.assert_array_equal(source.labels, expected)


def test_a_picture_without_attributes_is_named(tmp_path, rows):
    del rows["000002"]
    path = write_attributes(tmp_path / "list_attr_celeba.txt", rows)
    with pytest.raises(DatasetError, match=r"list_attr_celeba.txt says nothing about 000002.png"):
        celeba(write(tmp_path), attributes=path)


def test_attributes_of_another_form_are_refused(tmp_path, rows):
    rows["000004"][7] = 2
    path = write_attributes(tmp_path / "x.txt", rows)
    with pytest.raises(DatasetError, match=r"x.txt, line 6: not a file name and 40 times 1 or -1"):
        celeba(write(tmp_path), attributes=path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DatasetError, match=r"x.txt names 1 attributes in its second line, not 40"):
        celeba(tmp_path, attributes=path)
    with pytest.raises(DatasetError, match=r"--attributes .*missing.txt: No such file"):
        celeba(tmp_path, attributes=tmp_path / "missing.txt")
