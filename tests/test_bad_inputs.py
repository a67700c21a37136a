"""More than 200 bad inputs: each gives an error that names the file, or a counted skip; none gives a wrong picture."""

import io
import json
import os
import signal
import socket
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from bad_pictures import BAD, FORMATS, GOOD, STRANGE
from picture_data import encoded, random_image, save

import dataset_tool
from dataset_tools.errors import DatasetError, printable
from dataset_tools.sources import PictureSource
from stylegan_tf.records import open_levels

PICTURE = np.array(random_image((16, 16)))
SAMPLE = list(BAD)[::12]  # of the files, for the tests that write a whole data set


@pytest.fixture(autouse=True)
def nothing_hangs():
    """A picture, archive or folder that takes longer than this is a bug."""

    def stop(*_):
        raise TimeoutError("hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def folder(path, files):
    """A folder with one good picture, which comes first, and others."""
    save(path / " good.png", (16, 16))
    for name, data in files.items():
        (path / name).write_bytes(data)
    return path


def check_refused(path, name, **options):
    """The good picture is right, the other one raises an error that names it."""
    source = PictureSource(path, resolution=16, **options)
    np.testing.assert_array_equal(source[0], PICTURE)
    with pytest.raises(DatasetError) as caught:
        source[1]
    message = str(caught.value)
    assert printable(name) in message
    assert "; " in message  # the remedy
    assert "\n" not in message
    message.encode()


def check_written(path, output, capsys, *options, skipped):
    """The command makes a data set of the good picture alone, and counts what it left out."""
    dataset_tool.main(["create_from_images", str(output), str(path), "--resolution=16", "--on-error=skip", *options])
    (image,) = open_levels(output)[0].read([0])
    np.testing.assert_array_equal(image, PICTURE)
    manifest = json.loads((output / "dataset.json").read_text())
    assert (manifest["images"], manifest["skipped"]) == (1, skipped)
    assert "1 RGB pictures of 16x16" in capsys.readouterr().out


def check_command_fails(path, output, name, *options):
    """The command ends with one line that names the file, and leaves nothing behind."""
    with pytest.raises(SystemExit) as caught:
        dataset_tool.main(["create_from_images", str(output), str(path), "--resolution=16", *options])
    message = caught.value.code
    assert message.startswith("Error: ")
    assert printable(name) in message
    assert sorted(output.parent.iterdir()) == [path]


# ---------------------------------------------------------------------------------------------------------------------
# Files


def test_there_are_enough():
    assert len(BAD) >= 200


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_named(tmp_path, name):
    check_refused(folder(tmp_path, {name: BAD[name]}), name)


@pytest.mark.parametrize("name", SAMPLE)
def test_bad_file_is_skipped_and_counted(tmp_path, name, capsys):
    path = folder(tmp_path / "pictures", {name: BAD[name]})
    check_written(path, tmp_path / "out", capsys, skipped=1)


@pytest.mark.parametrize("name", SAMPLE[::3])
def test_command_names_the_bad_file_and_leaves_nothing(tmp_path, name):
    check_command_fails(folder(tmp_path / "pictures", {name: BAD[name]}), tmp_path / "out", name)


def test_all_of_them_at_once_leave_the_good_one(tmp_path, capsys):
    check_written(folder(tmp_path / "pictures", BAD), tmp_path / "out", capsys, skipped=len(BAD))
    lines = (tmp_path / "out" / "skipped.jsonl").read_text().splitlines()
    assert {json.loads(line)["name"] for line in lines} == {printable(name) for name in BAD}


@pytest.mark.parametrize("suffix", FORMATS)
def test_changed_byte_in_a_zip_is_found_in_every_format(tmp_path, suffix):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(" good.png", encoded(random_image((16, 16))))
        archive.writestr(f"bad.{suffix}", GOOD[suffix])
    data = (tmp_path / "x.zip").read_bytes()
    start = data.index(GOOD[suffix])
    for share in range(1, 8):
        position = start + len(GOOD[suffix]) * share // 8
        (tmp_path / "x.zip").write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        check_refused(tmp_path / "x.zip", f"bad.{suffix}")


@pytest.mark.parametrize("name", STRANGE)
def test_strange_mode_gives_the_right_colour(tmp_path, name):
    data, colour = STRANGE[name]
    (tmp_path / "x.png").write_bytes(data)
    result = PictureSource(tmp_path, resolution=16, channels=3)[0]
    np.testing.assert_allclose(result, np.broadcast_to(colour, (16, 16, 3)), atol=8)


# ---------------------------------------------------------------------------------------------------------------------
# Folders


def to_nowhere(path):
    path.symlink_to("gone")


def to_itself(path):
    path.symlink_to(path.name)


def to_each_other(path):
    path.symlink_to("other.lnk")
    (path.parent / "other.lnk").symlink_to(path.name)


def to_a_device(path):
    path.symlink_to("/dev/zero")


def listening(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


@pytest.mark.parametrize("make", [to_nowhere, to_itself, to_each_other, to_a_device, os.mkfifo, listening])
def test_what_is_no_file_is_named_and_never_read(tmp_path, make, capsys):
    path = folder(tmp_path / "pictures", {})
    make(path / "x.png")
    check_refused(path, "x.png")
    check_written(path, tmp_path / "out", capsys, skipped=1)


def test_circles_of_folders_end(tmp_path, capsys):
    path = folder(tmp_path / "pictures", {})
    for name in ("a", "b", "c.png"):
        (path / name).mkdir()
        for target in ("a", "b", "c.png", ".", ".."):
            (path / name / f"to {target}".replace(".", "dot")).symlink_to(path / target)
    check_written(path, tmp_path / "out", capsys, skipped=0)


# ---------------------------------------------------------------------------------------------------------------------
# Archives


def zip_of(files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def tar_of(files, mode="w"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def tar_with(size, name="x.png"):
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


def bad_archives():
    files = {f"{number}.png": encoded(random_image((16, 16), seed=number)) for number in range(3)}
    made = {
        ".zip": zip_of(files),
        ".tar": tar_of(files),
        ".tar.gz": tar_of(files, "w:gz"),
        ".tar.bz2": tar_of(files, "w:bz2"),
        ".tar.xz": tar_of(files, "w:xz"),
    }
    for suffix, data in made.items():
        for share in range(7):
            yield f"cut at {share} of 8{suffix}", data[: len(files["0.png"]) * 3 * share // 8]
        yield f"nothing{suffix}", b""
        yield f"text{suffix}", b"remember the milk" * 100
        yield f"magic{suffix}", data[:6]
    zeroed = made[".zip"]
    yield "no directory.zip", zeroed.replace(b"PK\x01\x02", b"PK\x00\x00")
    yield "too many.zip", zeroed[:-14] + struct.pack("<HHLLH", 9999, 9999, 10**6, 10**6, 0)
    for name in ("/x.png", "../x.png", "a/../../x.png"):
        yield f"leads outside {len(name)}.zip", zip_of({name: b""})
        yield f"leads outside {len(name)}.tar", tar_of({name: b""})
    for size in (10**6, 2**33, 2**62):
        yield f"huge {size}.tar", tar_with(size)
    yield "negative.tar", tar_with(-1024)
    yield "no pictures.zip", zip_of({"x.txt": b"", "dataset.json": b"{}"})
    yield "only hidden.tar", tar_of({"__MACOSX/x.png": b"", ".x.png": b""})


BAD_ARCHIVES = dict(bad_archives())


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_bad_archive_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(BAD_ARCHIVES[name])
    with pytest.raises(DatasetError) as caught:
        PictureSource(tmp_path / name, resolution=16)[2]
    assert name in str(caught.value)
    assert "; " in str(caught.value)


@pytest.mark.parametrize("name", list(BAD_ARCHIVES)[::10])
def test_command_names_the_bad_archive_and_leaves_nothing(tmp_path, name):
    (tmp_path / name).write_bytes(BAD_ARCHIVES[name])
    check_command_fails(tmp_path / name, tmp_path / "out", name)


def test_bad_members_of_a_zip_are_skipped_and_counted(tmp_path, capsys):
    good = encoded(random_image((16, 16)))
    data = bytearray(zip_of({" good.png": good, "big.png": bytes(10**6), "locked.png": good, "strange.png": good}))
    for name, offset, change in (
        (b"big.png", 24, struct.pack("<L", 2**31)),  # claims to unpack to this many bytes
        (b"locked.png", 8, struct.pack("<H", 1)),  # claims to be encrypted
        (b"strange.png", 10, struct.pack("<H", 77)),  # compressed in a way that nobody knows
    ):
        entry = data.rindex(name) - 46  # in the directory at the end
        data[entry + offset : entry + offset + len(change)] = change
    (tmp_path / "x.zip").write_bytes(data)
    source = PictureSource(tmp_path / "x.zip", resolution=16)
    for index, found in enumerate(["more than any picture", "encrypted", "compression method"], 1):
        with pytest.raises(DatasetError, match=rf"x\.zip/{source.names[index]} cannot be read: .*{found}"):
            source[index]
    check_written(tmp_path / "x.zip", tmp_path / "out", capsys, skipped=3)


# ---------------------------------------------------------------------------------------------------------------------
# Labels

BAD_LABELS = {
    "nothing.json": "",
    "list.json": "[]",
    "null.json": '{"labels": null}',
    "deep.json": "[" * 10**5,
    "nowhere.json": '{"labels": [["gone.png", 1]]}',
    "surplus.json": '{"labels": [[" good.png", 1], ["gone.png", 0]]}',
    "outside.json": '{"labels": [[" good.png", 1], ["../../etc/passwd", 0]]}',
    "shapes.json": '{"labels": [[" good.png", [1]], ["b.png", [1, 2]]]}',
    "nested.json": '{"labels": [[" good.png", [[1]]]]}',
    "infinite.json": '{"labels": [[" good.png", [Infinity]]]}',
    "negative.json": '{"labels": [[" good.png", -1]]}',
    "huge.json": '{"labels": [[" good.png", 999999999999]]}',
    "mixed.json": '{"labels": [[" good.png", 1], ["b.png", "x"]]}',
    "pairs.json": '{"labels": [[" good.png"]]}',
    "nothing.csv": "",
    "one column.csv": " good.png\n",
    "shapes.csv": " good.png,1\nb.png,1,2\n",
    "nul.csv": " good.png,\0\n\0",
    "quote.csv": '" good.png,1\n',
    "surplus.csv": " good.png,1\ngone.png,1\n",
    "twice.csv": " good.png,1\n good.png,2\n",
    "labels.txt": " good.png 1\n",
}


@pytest.mark.parametrize("name", BAD_LABELS)
def test_bad_labels_are_named(tmp_path, name):
    path = folder(tmp_path / "pictures", {})
    (tmp_path / name).write_text(BAD_LABELS[name])
    with pytest.raises(DatasetError) as caught:
        PictureSource(path, resolution=16, labels=str(tmp_path / name))
    assert name in str(caught.value)


def test_pictures_without_labels_are_skipped_and_counted(tmp_path, capsys):
    path = folder(tmp_path / "pictures", {"b.png": encoded(random_image((16, 16)))})
    (tmp_path / "labels.csv").write_text(" good.png,1\ngone.png,0\n")
    with pytest.raises(DatasetError, match=r"b\.png has no label in"):
        PictureSource(path, resolution=16, labels=tmp_path / "labels.csv")
    check_written(path, tmp_path / "out", capsys, f"--labels={tmp_path / 'labels.csv'}", skipped=1)
    (labels,) = (np.load(file) for file in (tmp_path / "out").glob("*.labels"))
    np.testing.assert_array_equal(labels, [[0, 1]])
