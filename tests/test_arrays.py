import os
import resource
import signal

import numpy as np
import pytest
import safetensors.numpy

from stylegan_tf.arrays import atomic_file, read_arrays, read_metadata, write_arrays

ARRAYS = {
    "a/matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a/transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "a/scalar": np.float32(2.5),
    "b/count": np.asarray(7, np.int64),
    "b/flags": np.asarray([True, False]),
    "b/bytes": np.arange(4, dtype=np.uint8),
    "b/empty": np.zeros([0, 3], np.float32),
    "b/big_endian": np.asarray([1.5, -2], ">f4"),
}
METADATA = {"kimg": 12, "nested": {"list": [1, 2.5, None, "ψ"]}}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "arrays.safetensors"
    write_arrays(path, ARRAYS, METADATA)
    return path


def test_round_trip_keeps_values_dtypes_shapes_and_metadata(file):
    arrays, metadata = read_arrays(file)
    assert metadata == METADATA
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].shape == np.shape(array)
        assert arrays[name].dtype.name == np.asarray(array).dtype.name


def test_prefix_selects_arrays(file):
    assert all(name.startswith("a/") for name in read_arrays(file, prefix="a/")[0])
    assert read_arrays(file, prefix=("a/", "b/"))[0].keys() == ARRAYS.keys()


def test_metadata_is_read_alone(file):
    assert read_metadata(file) == METADATA


def test_every_damaged_byte_is_noticed(file):
    good = file.read_bytes()
    for position in range(0, len(good), 7):
        file.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        with pytest.raises(ValueError, match=file.name):
            read_arrays(file)


@pytest.mark.parametrize("kept", [0, 7, 100, -1])
def test_truncated_file_is_refused(file, kept):
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ValueError, match=f"{file.name} is damaged"):
        read_arrays(file)


def test_appended_bytes_are_refused(file):
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(ValueError, match="is damaged"):
        read_metadata(file)


def test_header_that_claims_a_huge_size_is_refused(file):
    file.write_bytes((2**60).to_bytes(8, "little") + file.read_bytes()[8:])
    with pytest.raises(ValueError, match="is damaged"):
        read_metadata(file)


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "foreign.safetensors"
    safetensors.numpy.save_file({"x": np.zeros(3)}, path)
    with pytest.raises(ValueError, match=r"not written by this program.*network-snapshot"):
        read_arrays(path)
    path.write_bytes(b"\x80\x04\x95 a pickle, say")
    with pytest.raises(ValueError, match=r"no \.safetensors file"):
        read_arrays(path)


def test_missing_file_and_directory_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        read_arrays(tmp_path / "absent")
    with pytest.raises(OSError, match=tmp_path.name):
        read_arrays(tmp_path)


@pytest.mark.parametrize("array", [np.asarray(["text"]), np.asarray([None]), np.zeros(2, complex)])
def test_other_dtypes_are_refused(tmp_path, array):
    with pytest.raises(ValueError, match="'x' has dtype"):
        write_arrays(tmp_path / "f", {"x": array}, {})


@pytest.mark.parametrize("value", [float("nan"), object()])
def test_metadata_must_be_json(tmp_path, value):
    with pytest.raises(ValueError, match="JSON"):
        write_arrays(tmp_path / "f", {}, {"value": value})
    assert not list(tmp_path.iterdir())


def test_error_while_writing_leaves_the_old_file_and_nothing_else(file):
    before = file.read_bytes()
    old_limit, old_handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, old_limit[1]))  # as good as a full disk
    try:
        with pytest.raises(OSError, match=f"{file.name}: .*make room on the disk"):
            write_arrays(file, {"large": np.zeros(100_000, np.float32)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
        signal.signal(signal.SIGXFSZ, old_handler)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_leftover_of_a_killed_writer_is_replaced(file):
    leftover = file.with_name(f".{file.name}.partial")
    leftover.write_bytes(b"half a file")
    write_arrays(file, ARRAYS, {"again": True})
    assert read_metadata(file) == {"again": True}
    assert not leftover.exists()


def test_file_has_the_usual_permissions(file):
    usual = file.with_name("usual")
    usual.touch()
    assert file.stat().st_mode == usual.stat().st_mode


def test_atomic_file_appears_only_at_the_end(tmp_path):
    path = tmp_path / "file"
    with atomic_file(path) as temporary:
        temporary.write_text("text")
        assert not path.exists()
        assert os.path.dirname(temporary) == str(tmp_path)
    assert path.read_text() == "text"
