"""One file of records: those of other writers, and what happens to damaged ones."""

import time

import numpy as np
import pytest
from record_data import flip, noise, write

from stylegan_tf import record_file, record_format
from stylegan_tf.record_file import RecordFile
from stylegan_tf.record_format import RecordError, payload_length
from stylegan_tf.record_levels import RecordFormat, encode_levels
from stylegan_tf.records import StoredLevel, open_levels

# ---------------------------------------------------------------------------------------------------------------------
# Records of other writers


def file_of(path, payloads):
    path.write_bytes(b"".join(record_format.frame(payload) for payload in payloads))
    return path


def payload_of(image, swapped=False, packed=True):
    """What `encode` writes, or one of the other serialisations that mean the same."""
    field, varint = record_format._field, record_format._varint
    dimensions = [varint(size) for size in image.shape]
    values = field(1, b"".join(dimensions)) if packed else b"".join(b"\x08" + size for size in dimensions)
    shape = record_format._feature(b"shape", field(3, values))
    data = record_format._feature(b"data", field(1, field(1, image.tobytes())))
    return field(1, data + shape if swapped else shape + data)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_order_of_features_and_packing_do_not_matter(tmp_path, swapped, packed):
    images = noise(2).transpose(0, 3, 1, 2)
    path = file_of(tmp_path / "x.tfrecords", [payload_of(image, swapped, packed) for image in images])
    np.testing.assert_array_equal(StoredLevel([path]).read([1, 0]), images[::-1].transpose(0, 2, 3, 1))


def test_records_of_different_lengths_are_found(tmp_path):
    images = noise(5).transpose(0, 3, 1, 2)
    path = file_of(
        tmp_path / "x.tfrecords", [payload_of(image, packed=index % 2) for index, image in enumerate(images)]
    )
    file = RecordFile(path)
    assert len(file) == 5
    assert len(set(np.diff(file.offsets))) == 2
    np.testing.assert_array_equal(StoredLevel([path]).read([4, 1]), images[[4, 1]].transpose(0, 2, 3, 1))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"hello",
        b"\xff" * 40,
        record_format._field(
            1, record_format._feature(b"shape", record_format._field(3, record_format._field(1, b"\x03\x08\x08")))
        ),
        record_format._field(
            1, record_format._feature(b"data", record_format._field(1, record_format._field(1, b"1234")))
        ),
    ],
    ids=["empty", "text", "bits", "shape-only", "data-only"],
)
def test_another_kind_of_record_is_named(tmp_path, payload):
    path = file_of(tmp_path / "x.tfrecords", [payload])
    with pytest.raises(RecordError, match=r"x\.tfrecords: record 0 at byte 0 is not an image record"):
        RecordFile(path)


def test_shape_that_does_not_go_with_the_bytes_is_named(tmp_path):
    good = payload_of(noise(1)[0].transpose(2, 0, 1))
    path = file_of(tmp_path / "x.tfrecords", [good.replace(b"\x03\x08\x08", b"\x03\x08\x07")])
    with pytest.raises(RecordError, match=r"record 0 at byte 0 .*shape \[3, 8, 7\] does not go with its 192 bytes"):
        RecordFile(path)


# ---------------------------------------------------------------------------------------------------------------------
# Damage


@pytest.fixture
def file_of_five(tmp_path):
    return write(tmp_path / "set", noise(5)) / "set-r03.tfrecords"


@pytest.mark.parametrize("within", [0, 8, 12, 40, -5, -1], ids=["length", "crc", "head", "data", "end", "data-crc"])
@pytest.mark.parametrize("record", [0, 3])
def test_a_flipped_byte_is_found_and_named(file_of_five, record, within):
    stride = file_of_five.stat().st_size // 5
    flip(file_of_five, record * stride + within % stride)
    match = rf"set-r03\.tfrecords: record {record} at byte {record * stride} is damaged.*make the data set again"
    with pytest.raises(RecordError, match=match):
        StoredLevel([file_of_five]).read([record])


def test_the_other_records_of_a_damaged_file_can_be_read(file_of_five):
    stride = file_of_five.stat().st_size // 5
    flip(file_of_five, 3 * stride + 100)
    np.testing.assert_array_equal(StoredLevel([file_of_five]).read([0, 1, 2, 4]), noise(5)[[0, 1, 2, 4]])


@pytest.mark.parametrize("missing", [1, 100])
def test_a_file_that_is_cut_off_is_named(file_of_five, missing):
    stride = file_of_five.stat().st_size // 5
    file_of_five.write_bytes(file_of_five.read_bytes()[:-missing])
    with pytest.raises(RecordError, match=rf"set-r03\.tfrecords: record 4 at byte {4 * stride} is damaged or cut off"):
        RecordFile(file_of_five)


def test_an_empty_file_is_named(file_of_five):
    file_of_five.write_bytes(b"")
    with pytest.raises(RecordError, match=r"set-r03\.tfrecords is empty"):
        RecordFile(file_of_five)


@pytest.mark.parametrize("known", [True, False], ids=["with-manifest", "without"])
def test_a_file_cut_between_two_records_is_named(file_of_five, known):
    data = file_of_five.read_bytes()
    file_of_five.write_bytes(data[: len(data) // 5 * 4])
    match = r"set-r03\.tfrecords has 988 bytes, but 1235 were written"
    if not known:
        (file_of_five.parent / "dataset.json").unlink()
        match = r"set-r02\.tfrecords has 5 images of 3 channels, but .*set-r03.* has 4 of 3"
    with pytest.raises(ValueError, match=match):
        open_levels(file_of_five.parent)


def test_a_file_cut_while_it_is_open_is_named(file_of_five):
    """The index says more than the file has."""
    level = StoredLevel([file_of_five])
    level.files[0].offsets[-1] += 100
    with pytest.raises(RecordError, match="record 4 at byte 988 is damaged: it does not end where the next one begins"):
        level.read([4])


@pytest.mark.parametrize("encoding", ["raw", "png", "jpeg"])
@pytest.mark.parametrize("position", [-1, 5])
def test_there_is_no_image_outside(tmp_path, encoding, position):
    level = open_levels(write(tmp_path / "set", noise(5), format=RecordFormat(encoding)))[0]
    with pytest.raises(IndexError, match=f"there is no image {position}, only 0 to 4"):
        level.read([position])


@pytest.mark.parametrize("encoding", ["png", "webp", "jpeg"])
def test_damage_to_a_compressed_record_is_named(tmp_path, encoding):
    path = write(tmp_path / "set", noise(5), format=RecordFormat(encoding)) / "set-r03.tfrecords"
    start = int(np.load(tmp_path / "set" / "set-r03.index.npy")[3])
    flip(path, start + 60)
    level = open_levels(tmp_path / "set")[0]
    with pytest.raises(RecordError, match=rf"set-r03\.tfrecords: record 3 at byte {start} is damaged: its checksum"):
        level.read([3])
    assert level.read([2, 4]).shape == (2, 8, 8, 3)


def test_a_good_checksum_does_not_make_a_picture(tmp_path):
    path = tmp_path / "x.tfrecords"
    path.write_bytes(record_format.encode((3, 8, 8), b"no picture", "png"))
    with pytest.raises(RecordError, match=r"x\.tfrecords: record 0 at byte 0 is no readable png picture"):
        StoredLevel([path]).read([0])


@pytest.mark.parametrize(("shape", "encoding"), [((3, 8, 8), "gif"), ((3, 2**20, 2**20), "png"), ((3, 0, 0), "png")])
def test_unknown_encodings_and_giant_sizes_are_refused(tmp_path, shape, encoding):
    path = tmp_path / "x.tfrecords"
    path.write_bytes(record_format.encode(shape, b"data", encoding))
    with pytest.raises(
        RecordError, match=r"record 0 at byte 0 is an image record (whose shape|in the unknown encoding)"
    ):
        RecordFile(path)


# ---------------------------------------------------------------------------------------------------------------------
# Indices


@pytest.fixture
def compressed(tmp_path):
    write(tmp_path / "set", noise(6, 16), format=RecordFormat("png"))
    return tmp_path / "set" / "set-r04.tfrecords"


def test_a_file_without_its_index_is_searched(compressed):
    offsets = RecordFile(compressed).offsets
    compressed.with_name("set-r04.index.npy").unlink()
    file = RecordFile(compressed)
    np.testing.assert_array_equal(file.offsets, offsets)
    np.testing.assert_array_equal(StoredLevel([compressed]).read(range(6)), noise(6, 16))


@pytest.mark.parametrize(
    "change",
    [
        lambda offsets: offsets[:-1],
        lambda offsets: offsets[1:],
        lambda offsets: offsets[::-1],
        lambda offsets: offsets.astype(np.float64),
        lambda offsets: offsets.reshape(1, -1),
        lambda offsets: np.array([object()]),
    ],
)
def test_an_index_of_another_kind_is_not_used(compressed, change):
    path = compressed.with_name("set-r04.index.npy")
    np.save(path, change(np.load(path)), allow_pickle=True)
    np.testing.assert_array_equal(StoredLevel([compressed]).read(range(6)), noise(6, 16))


def test_an_index_that_points_elsewhere_gives_no_wrong_image(compressed):
    path = compressed.with_name("set-r04.index.npy")
    offsets = np.load(path)
    offsets[3] += 1
    np.save(path, offsets)
    with pytest.raises(RecordError, match=rf"record 3 at byte {offsets[3]} is damaged"):
        StoredLevel([compressed]).read([3])


def test_opening_does_not_touch_all_records(tmp_path, monkeypatch):
    """A million records: opening looks at a few, and the first batch comes within a second."""
    path = tmp_path / "set-r02.tfrecords"
    (record,) = encode_levels(noise(1, 4)[0])
    path.write_bytes(record * 10**6)
    started = time.monotonic()
    looked_at = []
    monkeypatch.setattr(record_file, "payload_length", lambda head: looked_at.append(1) or payload_length(head))
    level = open_levels(tmp_path)[0]
    images = level.read(np.arange(0, 10**6, 31250))
    assert time.monotonic() - started < 1
    assert len(level) == 10**6
    assert len(looked_at) < 100
    np.testing.assert_array_equal(images, noise(1, 4).repeat(32, axis=0))


def test_a_record_of_another_shape_is_named(tmp_path):
    path = tmp_path / "x.tfrecords"
    images = [noise(1)[0], noise(1, channels=1)[0]]
    path.write_bytes(b"".join(encode_levels(image)[0] for image in images))
    with pytest.raises(RecordError, match=r"record 1 at byte \d+ has shape \[1, 8, 8\], but the first one \[3, 8, 8\]"):
        StoredLevel([path]).read([1])
