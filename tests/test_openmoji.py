"""Pictures from OpenMoji: which, where the eyes are, what the labels say, and that they are always the same."""

import functools

import numpy as np
import pytest

from dataset_tools.openmoji import BACKGROUND, SUBSETS, openmoji_pictures

UNITS = 54  # width of a portrait in units of the drawing grid, on which the eyes are 8 apart and 4 wide


@functools.cache
def portraits():
    """All portraits at 2 pixels a unit, uint8 [N, 108, 108, 3], and their names; drawn once for all tests."""
    pictures = openmoji_pictures("portraits", 2 * UNITS)
    return np.stack(list(pictures)), pictures.names


def test_iterating_gives_each_picture_once():
    pictures = openmoji_pictures("faces", 8)
    assert len(list(pictures)) == len(pictures) == len(set(pictures.names))


def test_there_are_many_portraits_as_many_of_each_skin_tone():
    pictures = openmoji_pictures("portraits", 16)
    assert len(pictures) == 912
    assert pictures.labels.dtype == np.float32
    assert pictures.labels[:, :6].sum(axis=0).tolist() == [152] * 6


def test_both_eyes_are_beside_the_middle_of_every_portrait():
    images, names = portraits()
    for side in (-4, 4):
        column = UNITS + 2 * side
        eye = images[:, UNITS - 1 : UNITS + 1, column - 1 : column + 1]  # an eye is twice as wide
        dark = eye.max(axis=(1, 2, 3)) < 100
        assert not [name for name, found in zip(names, dark, strict=True) if not found]


def test_shoulders_reach_the_lower_edge_of_every_portrait():
    images, names = portraits()
    lower = (images[:, -2:] != BACKGROUND).any(axis=-1).mean(axis=(1, 2))
    assert not [name for name, covered in zip(names, lower, strict=True) if covered < 0.5]


def test_no_hat_is_cut_off():
    """What reaches the upper edge is a raised hand and the three tips of a crown."""
    images, names = portraits()
    inked = np.abs(images[:, 0].astype(int) - BACKGROUND).max(axis=(1, 2)) > 60
    assert {name[:5] for name, found in zip(names, inked, strict=True) if found} == {"1F64B", "1FAC5"}


def test_an_emoji_of_several_code_points_is_one_picture():
    pictures = openmoji_pictures("portraits", 32)
    person, cook = (pictures[pictures.names.index(name)] for name in ("1F468", "1F468-200D-1F373"))
    assert (person != cook).any()
    assert (cook[2] != BACKGROUND).any(axis=-1).any()  # the hat


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("1F9D1", {"skin tone: none", "gender: person", "hair: other"}),
        ("1F468-1F3FB-200D-1F373", {"skin tone: light", "gender: man", "hair: other"}),
        ("1F469-1F3FF-200D-1F9B0", {"skin tone: dark", "gender: woman", "hair: red"}),
        ("1F9D1-1F3FD-200D-1F9B2", {"skin tone: medium", "gender: person", "hair: bald"}),
        ("1F46E-1F3FC-200D-2640-FE0F", {"skin tone: medium light", "gender: woman", "hair: other"}),
        ("1F473-1F3FE-200D-2642-FE0F", {"skin tone: medium dark", "gender: man", "hair: other"}),
        ("1F478-1F3FE", {"skin tone: medium dark", "gender: woman", "hair: other"}),
        ("1F466", {"skin tone: none", "gender: man", "hair: other"}),
    ],
)
def test_labels_say_what_the_code_points_say(name, expected):
    pictures = openmoji_pictures("portraits", 8)
    row = pictures.labels[pictures.names.index(name)]
    assert {column for column, value in zip(pictures.label_names, row, strict=True) if value} == expected


@pytest.mark.parametrize("name", ["1F468-200D-1F466", "1F483", "1F9D1-200D-1F9BD", "1F44D", "1F6B6", "1F47C", "1F486"])
def test_families_full_bodies_and_hands_are_no_portraits(name):
    assert name in openmoji_pictures("all", 8).names
    assert name not in openmoji_pictures("portraits", 8).names


@pytest.mark.parametrize(("subset", "count"), [("faces", 100), ("flags", 319), ("all", 4495)])
def test_other_subsets_have_no_labels_and_no_blank_picture(subset, count):
    pictures = openmoji_pictures(subset, 16)
    assert len(pictures) == count
    assert pictures.labels.shape == (count, 0)
    assert pictures.label_names == []
    some = np.stack([pictures[index] for index in range(0, count, 1 + count // 150)])
    assert (some != BACKGROUND).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("subset", SUBSETS)
def test_pictures_are_the_same_every_time_and_in_any_order(subset):
    first, second = openmoji_pictures(subset, 64), openmoji_pictures(subset, 64)
    backwards = [second[index] for index in (7, 3, 0)]
    np.testing.assert_array_equal([first[index] for index in (7, 3, 0)], backwards)
    assert first[0].shape == (64, 64, 3)
    assert first[0].dtype == np.uint8


def test_unknown_subset_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"portraits, faces, flags, all, not 'cats'"):
        openmoji_pictures("cats", 64)
