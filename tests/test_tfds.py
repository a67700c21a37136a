"""Data sets of tensorflow-datasets are read with their labels, and nothing of what a file names is imported."""

import json
import shutil
import sys

import numpy as np
import pytest
import tensorflow_datasets
from PIL import Image
from source_contract import check_source
from tensorflow_datasets.core import BuilderConfig, DatasetInfo, GeneratorBasedBuilder, Version
from tensorflow_datasets.core.download import DownloadConfig
from tensorflow_datasets.core.features import ClassLabel, FeaturesDict, LabeledImage, Text
from tensorflow_datasets.core.features import Image as ImageFeature

from dataset_tools.errors import DatasetError
from dataset_tools.tfds import tfds

KINDS = ["round", "square", "star"]
COLOURS = ["red", "green"]


def pixels(number):
    """Picture `number`: [16, 24 or 16, 3], its number in the corner, since the records are shuffled."""
    image = np.random.RandomState(number).randint(0, 256, [16, 24 if number % 2 else 16, 3], np.uint8)
    image[:, :, 0] = number
    return image


def info(builder, **features):
    return DatasetInfo(builder=builder, features=FeaturesDict(features), supervised_keys=("image", "label"))


class ShapesForTests(GeneratorBasedBuilder):
    """21 pictures of two sizes in "train", 3 in "test"."""

    VERSION = Version("1.2.0")

    def _info(self):
        mask = LabeledImage(labels=2, shape=(None, None, 1))
        kinds = {"label": ClassLabel(names=KINDS), "colour": ClassLabel(names=COLOURS)}
        return info(self, image=ImageFeature(), mask=mask, title=Text(), **kinds)

    def _split_generators(self, downloads):
        return {"train": self._generate_examples(range(21)), "test": self._generate_examples(range(21, 24))}

    def _generate_examples(self, numbers):
        for number in numbers:
            example = {"image": pixels(number), "label": number % 3, "colour": number % 2, "title": str(number)}
            yield number, example | {"mask": np.zeros([16, 16, 1], np.uint8)}


class DigitsForTests(GeneratorBasedBuilder):
    """4 gray pictures; two configurations."""

    VERSION = Version("1.0.0")
    BUILDER_CONFIGS = [BuilderConfig(name="plain"), BuilderConfig(name="fancy")]  # noqa: RUF012 (read by the base class)

    def _info(self):
        return info(self, image=ImageFeature(shape=(8, 8, 1)), label=ClassLabel(num_classes=2))

    def _split_generators(self, downloads):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for number in range(4):
            yield number, {"image": np.full([8, 8, 1], number, np.uint8), "label": -1}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Folders of data, by file format; in the first there are several files of records a split."""
    folders = {}
    for file_format in ("tfrecord", "array_record"):
        folders[file_format] = tmp_path_factory.mktemp(file_format)
        builder = ShapesForTests(data_dir=folders[file_format], file_format=file_format)
        shards = 3 if file_format == "tfrecord" else None
        builder.download_and_prepare(download_config=DownloadConfig(num_shards=shards))
        for config in ("plain", "fancy"):
            DigitsForTests(data_dir=folders[file_format], config=config).download_and_prepare()
    return folders


@pytest.fixture
def own(prepared, tmp_path):
    """A copy to damage: the folder of ShapesForTests' version."""
    shutil.copytree(prepared["tfrecord"], tmp_path / "data")
    return tmp_path / "data" / "shapes_for_tests" / "1.2.0"


# ---------------------------------------------------------------------------------------------------------------------
# Pictures and labels


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
@pytest.mark.parametrize(
    ("split", "numbers"), [("train", range(21)), ("test", range(21, 24)), ("train+test", range(24))]
)
def test_pictures_and_labels_belong_together(prepared, file_format, split, numbers):
    source = tfds("shapes_for_tests", split, prepared[file_format], resolution=16)
    images = check_source(source, (16, 16, 3), 3)
    found = [int(image[0, 0, 0]) for image in images]
    assert sorted(found) == list(numbers)
    assert source.label_names == KINDS
    for image, number, label in zip(images, found, source.labels, strict=True):
        assert label.tolist() == [number % 3 == kind for kind in range(3)]
        original = pixels(number)
        left = (original.shape[1] - 16) // 2
        np.testing.assert_array_equal(image, original[:, left : left + 16])


def test_a_part_of_a_split_is_that_part_of_its_records(prepared):
    whole = tfds("shapes_for_tests", "train", prepared["tfrecord"], resolution=16)
    part = tfds("shapes_for_tests", "train[5:13]", prepared["tfrecord"], resolution=16)
    assert len(part) == 13 - 5
    for number in range(len(part)):
        np.testing.assert_array_equal(part[number], whole[5 + number])
    np.testing.assert_array_equal(part.labels, whole.labels[5:13])


def test_the_records_come_in_the_order_of_tensorflow_datasets(prepared):
    source = tfds("shapes_for_tests", "train", prepared["tfrecord"], resolution=16)
    builder = tensorflow_datasets.builder_from_directory(prepared["tfrecord"] / "shapes_for_tests" / "1.2.0")
    read = tensorflow_datasets.ReadConfig(interleave_cycle_length=1)
    records = tensorflow_datasets.as_numpy(builder.as_dataset("train", read_config=read))
    expected = [int(record["title"]) for record in records]
    assert [int(source[number][0, 0, 0]) for number in range(21)] == expected


def test_another_label_or_none_can_be_chosen(prepared):
    source = tfds("shapes_for_tests", data_dir=prepared["tfrecord"], label="colour", resolution=16)
    assert source.label_names == COLOURS
    assert [row.argmax() for row in source.labels] == [source[i][0, 0, 0] % 2 for i in range(21)]
    source = tfds("shapes_for_tests", data_dir=prepared["tfrecord"], label="none", resolution=16)
    assert source.labels.shape == (21, 0)


def test_options_of_pictures_are_passed_on(prepared):
    source = tfds(
        "shapes_for_tests", data_dir=prepared["tfrecord"], resolution=8, transform="stretch", channels=1, mirror=True
    )
    images = check_source(source, (8, 8, 1), 3)
    np.testing.assert_array_equal(images[21:], images[:21, :, ::-1])


def test_without_a_resolution_all_pictures_must_be_squares(prepared):
    with pytest.raises(DatasetError, match=r"shapes_for_tests/1.2.0 train\[\d+\] is .*--resolution 16"):
        check_source(tfds("shapes_for_tests", data_dir=prepared["tfrecord"]), (16, 16, 3), 3)


def test_gray_pictures_stay_gray(prepared):
    source = tfds("digits_for_tests/plain", data_dir=prepared["tfrecord"], label="none")
    images = check_source(source, (8, 8, 1))
    assert sorted(image[0, 0, 0] for image in images) == [0, 1, 2, 3]


def test_classes_that_are_kept_secret_are_refused(prepared):
    with pytest.raises(DatasetError, match=r"digits_for_tests/plain/1.0.0 train\[0\] has no label; .* --label none"):
        tfds("digits_for_tests/plain", data_dir=prepared["tfrecord"])
    source = tfds("digits_for_tests/plain", data_dir=prepared["tfrecord"], on_error="skip")
    with pytest.raises(DatasetError, match="has no label"):
        source[0]


# ---------------------------------------------------------------------------------------------------------------------
# Finding


def test_of_several_versions_the_newest_is_read(own):
    newer = own.with_name("1.10.0")
    shutil.copytree(own, newer)
    for split in newer.glob("*test*"):
        split.unlink()
    data_dir = own.parent.parent
    with pytest.raises(DatasetError, match="cannot be read"):
        tfds("shapes_for_tests", "test", data_dir)
    assert len(tfds("shapes_for_tests:1.2.0", "test", data_dir, resolution=16)) == 3


def test_of_several_configurations_one_must_be_chosen(prepared):
    with pytest.raises(DatasetError, match=r"is there as fancy, plain; choose one as digits_for_tests/CONFIG"):
        tfds("digits_for_tests", data_dir=prepared["tfrecord"])


def test_the_environment_says_where_data_are(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared["tfrecord"]))
    assert len(tfds("shapes_for_tests", "test", resolution=16)) == 3


def test_what_is_not_there_is_not_downloaded_unless_asked_for(tmp_path):
    with pytest.raises(DatasetError, match=r"shapes_for_tests is not in .*; let .* get it with --download"):
        tfds("shapes_for_tests", "test", tmp_path)
    assert not list(tmp_path.iterdir())
    assert len(tfds("shapes_for_tests", "test", tmp_path, download=True, resolution=16)) == 3


def test_an_unknown_name_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"no_such_data_set cannot be prepared: .*catalog"):
        tfds("no_such_data_set", data_dir=tmp_path, download=True)


@pytest.mark.parametrize("name", ["", "../x", "a/b/c", "a/..", "https://x", "a:latest", "huggingface:a"])
def test_what_is_no_name_is_refused(tmp_path, name):
    with pytest.raises(DatasetError, match="is not NAME, NAME/CONFIG or NAME/CONFIG:VERSION"):
        tfds(name, data_dir=tmp_path, download=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "valid"}, "--split valid: .*shapes_for_tests/1.2.0 has (train, test|test, train)"),
        ({"split": "train[:"}, r"--split train\[:: "),
        ({"split": "train[:1%]"}, r"--split train\[:1%\] of shapes_for_tests/1.2.0 has no pictures"),
        ({"label": "title"}, "--label title is no class of .*; give one of (colour, label|label, colour), none"),
        ({"resolution": 17}, "--resolution"),
    ],
)
def test_wrong_options_are_named(prepared, options, message):
    with pytest.raises(ValueError, match=message):
        tfds("shapes_for_tests", data_dir=prepared["tfrecord"], **options)


# ---------------------------------------------------------------------------------------------------------------------
# Damage


def test_classes_that_a_file_names_are_not_imported(own, tmp_path, monkeypatch):
    (tmp_path / "harmful.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    path = own / "features.json"
    features = json.loads(path.read_text())
    inner = {"pythonClassName": "harmful.Feature"}
    for value in (
        inner,
        {"jsonFeature": {"json": json.dumps({"feature": {"type": "harmful.Feature", "content": {}}})}},
    ):
        features["featuresDict"]["features"]["title"] = value
        path.write_text(json.dumps(features))
        with pytest.raises(DatasetError, match=r"features.json names the class 'harmful.Feature'"):
            tfds("shapes_for_tests", "test", own.parent.parent)
    assert "harmful" not in sys.modules


def test_a_damaged_record_is_named(own):
    path = next(own.glob("*test.tfrecord*"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=rf"{path.name}: the record at byte \d+ is damaged"):
        tfds("shapes_for_tests", "test", own.parent.parent)


def test_with_on_error_skip_a_damaged_record_fails_when_it_is_read(own):
    whole = tfds("shapes_for_tests", "train", own.parent.parent, resolution=16)
    images, labels = [whole[number] for number in range(21)], whole.labels
    path = next(own.glob("*train.tfrecord-00001*"))
    data = bytearray(path.read_bytes())
    data[-10] ^= 1  # in the last record of the second of three files
    path.write_bytes(data)
    source = tfds("shapes_for_tests", "train", own.parent.parent, resolution=16, on_error="skip")
    with pytest.raises(DatasetError, match=rf"{path.name}: the record at byte \d+ is damaged"):
        source[13]
    for number in {*range(21)} - {13}:
        np.testing.assert_array_equal(source[number], images[number])
        np.testing.assert_array_equal(source.labels[number], labels[number])


@pytest.mark.parametrize("length", [0, 5, -1])
def test_a_cut_file_of_records_is_named(own, length):
    path = next(own.glob("*test.tfrecord*"))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DatasetError, match=rf"{path.name}: record 0 of 1 is damaged or missing; delete"):
        tfds("shapes_for_tests", "test", own.parent.parent)


def test_a_damaged_picture_is_named_and_the_others_are_read(own, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 16 * 16)  # half of the pictures claim to be larger
    source = tfds("shapes_for_tests", "train", own.parent.parent, resolution=16, on_error="skip")
    errors = {}
    for number in range(21):
        try:
            source[number]
        except DatasetError as error:
            errors[number] = str(error)
    assert len(errors) == 10
    for number, error in errors.items():
        assert error.startswith(f"shapes_for_tests/1.2.0 train[{number}] claims to have more than 256 pixels")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"featuresDict": 1}', '{"pythonClassName": "x"}'])
@pytest.mark.parametrize("name", ["features.json", "dataset_info.json"])
def test_a_damaged_description_is_named(own, name, content):
    (own / name).write_text(content)
    with pytest.raises(DatasetError, match=r"1.2.0.* (cannot be read|has no features|has 0 features|--split)"):
        tfds("shapes_for_tests", "test", own.parent.parent)
