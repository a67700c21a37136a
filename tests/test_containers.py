"""Folders and archives give the same pictures under the same names; what is left out is said; nothing hangs."""

import functools
import gzip
import io
import os
import stat
import tarfile
import threading
import zipfile

import pytest
from picture_data import save

from dataset_tools import archives
from dataset_tools.containers import open_container
from dataset_tools.errors import DatasetError

FILES = {"b.png": b"2", "a.PNG": b"1", "cats/deep/10.jpg": b"10", "cats/9.jpeg": b"9", "ünï cödé.webp": b"u"}
OTHERS = {"notes.txt": b"milk", ".DS_Store": b"", "cats/.hidden/x.png": b"", "__MACOSX/a.png": b""}


def folder(path, files):
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tarred(path, files, mode="w", **attributes):
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for attribute, value in attributes.items():
                setattr(member, attribute, value)
            archive.addfile(member, io.BytesIO(data))
    return path


def contents(container):
    return {name: container.read(index) for index, name in enumerate(container.names)}


MAKERS = {
    "folder": lambda path, files: folder(path / "x", files),
    "zip": lambda path, files: zipped(path / "x.zip", files),
    "tar": lambda path, files: tarred(path / "x.tar", files),
    "tar.gz": lambda path, files: tarred(path / "x.tgz", files, "w:gz"),
    "tar.bz2": lambda path, files: tarred(path / "x.tar.bz2", files, "w:bz2"),
    "tar.xz": lambda path, files: tarred(path / "x.tar.xz", files, "w:xz"),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_pictures_of_all_folders_sorted_without_the_hidden(tmp_path, kind):
    container = open_container(MAKERS[kind](tmp_path, FILES | OTHERS))
    assert container.names == ["a.PNG", "b.png", "cats/9.jpeg", "cats/deep/10.jpg", "ünï cödé.webp"]
    assert contents(container) == FILES
    assert container.ignored == ["notes.txt"]
    assert container.notes() == ["1 file that is no picture (.txt) left out"]
    assert container.read_file("notes.txt") == b"milk"
    assert container.read_file("gone.txt") is None


@pytest.mark.parametrize("kind", MAKERS)
def test_stamp_changes_with_the_files_only(tmp_path, kind):
    (tmp_path / "1").mkdir()
    path = MAKERS[kind](tmp_path / "1", FILES)
    stamp = open_container(path).stamp
    assert open_container(path).stamp == stamp
    (tmp_path / "2").mkdir()
    assert open_container(MAKERS[kind](tmp_path / "2", FILES | {"c.png": b"3"})).stamp != stamp


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_archive_is_told_by_its_content(tmp_path, kind):
    path = MAKERS[kind](tmp_path, FILES).rename(tmp_path / "download")
    assert len(open_container(path)) == 5


@pytest.mark.parametrize("kind", ["folder", "zip", "tar.gz"])
def test_threads_read_at_once(tmp_path, kind):
    files = {f"{number:03}.png": os.urandom(20000) for number in range(40)}
    container = open_container(MAKERS[kind](tmp_path, files))
    results = [None] * 4

    def work(thread):
        results[thread] = contents(container)

    threads = [threading.Thread(target=work, args=[thread]) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [files] * 4


# ---------------------------------------------------------------------------------------------------------------------
# Folders


def test_links_are_followed_and_circles_end(tmp_path):
    folder(tmp_path / "x", {"a/1.png": b"1", "b/2.png": b"2"})
    folder(tmp_path / "far", {"3.png": b"3"})
    (tmp_path / "x" / "a" / "up").symlink_to(tmp_path / "x")
    (tmp_path / "x" / "b" / "itself").symlink_to("itself")
    (tmp_path / "x" / "0").symlink_to(tmp_path / "x" / "b")
    (tmp_path / "x" / "far").symlink_to(tmp_path / "far")
    (tmp_path / "x" / "4.png").symlink_to(tmp_path / "far" / "3.png")
    container = open_container(tmp_path / "x")
    assert contents(container) == {"4.png": b"3", "a/1.png": b"1", "b/2.png": b"2", "far/3.png": b"3"}
    assert container.ignored == ["0", "a/up", "b/itself"]
    assert container.notes() == [
        "3 files that are no picture or a link (no suffix) left out",
        "2 pictures reached through links",
    ]


def test_folder_that_is_called_like_a_picture_is_a_folder(tmp_path):
    assert open_container(folder(tmp_path, {"x.png/y.png": b""})).names == ["x.png/y.png"]


def test_link_to_nowhere_is_an_error_when_read(tmp_path):
    folder(tmp_path, {"a.png": b""})
    (tmp_path / "x.png").symlink_to("gone.png")
    container = open_container(tmp_path)
    assert len(container.stamp) == 64
    with pytest.raises(
        DatasetError, match=r"x\.png cannot be read: No such file or directory; remove it or replace it"
    ):
        container.read(1)


def test_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(DatasetError, match=r"x\.png cannot be read: it is a pipe or a device"):
        open_container(tmp_path).read(0)
    with pytest.raises(DatasetError, match=r"x\.png is neither a file nor a folder"):
        open_container(tmp_path / "x.png")


def test_huge_file_is_not_read(tmp_path, monkeypatch):
    folder(tmp_path, {"x.png": bytes(1001)})
    monkeypatch.setattr("dataset_tools.containers.MAX_FILE_BYTES", 1000)
    with pytest.raises(DatasetError, match=r"x\.png cannot be read: it has 1,001 bytes, more than any picture"):
        open_container(tmp_path).read(0)


def test_strange_names_are_shown_on_one_line(tmp_path):
    (tmp_path / "a\n\x1b[31m.png").touch()
    (tmp_path / os.fsdecode(b"b\xff.png")).touch()
    container = open_container(tmp_path)
    assert [container.full_name(name)[len(str(tmp_path)) + 1 :] for name in container.names] == [
        r"a\n\x1b[31m.png",
        r"b\udcff.png",
    ]
    assert len(container.stamp) == 64
    assert container.read(1) == b""


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no pictures; put PNG or JPEG files into it"),
        ({".hidden.png": b""}, "holds no pictures; put"),
        (
            {"a.txt": b"", "b.heic": b""},
            r"holds no pictures, only 2 files that are no picture \(.heic, .txt\)",
        ),
    ],
)
def test_container_without_pictures_is_named(tmp_path, files, message):
    (tmp_path / "x").mkdir()
    with pytest.raises(DatasetError, match=f"x {message}"):
        open_container(folder(tmp_path / "x", files))


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(
        DatasetError, match="missing: No such file or directory; give a folder of pictures, a zip or a tar"
    ):
        open_container(tmp_path / "missing")


def test_single_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"x\.png is a single file; give the folder that it lies in"):
        open_container(save(tmp_path / "x.png"))
    (tmp_path / "x.doc").write_bytes(b"milk")
    with pytest.raises(DatasetError, match=r"x\.doc is no folder, zip or tar archive, or it is damaged"):
        open_container(tmp_path / "x.doc")


# ---------------------------------------------------------------------------------------------------------------------
# Archives


@pytest.mark.parametrize("make", [zipped, tarred])
def test_the_last_of_two_files_with_one_name_counts(tmp_path, make, recwarn):
    path = make(tmp_path / "x", {"./a.png": b"1", "a.png": b"2", "b//c.png": b"3"})
    assert contents(open_container(path)) == {"a.png": b"2", "b/c.png": b"3"}


@pytest.mark.parametrize("make", [zipped, tarred])
@pytest.mark.parametrize("name", ["/etc/x.png", "../x.png", "a/../../x.png"])
def test_name_that_leads_outside_is_refused(tmp_path, make, name):
    with pytest.raises(
        DatasetError, match=r"x is not to be trusted: its file .*x\.png would lie outside; make it anew"
    ):
        open_container(make(tmp_path / "x", {"a.png": b"", name: b""}))


def test_links_in_archives_are_left_out(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name, kind in {"a.png": tarfile.REGTYPE, "b.png": tarfile.SYMTYPE, "c.png": tarfile.LNKTYPE}.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.png", b"")
        for name in ("b.png", "c.png"):
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, "/etc/passwd")
    for path in tmp_path.iterdir():
        container = open_container(path)
        assert (container.names, container.ignored) == (["a.png"], ["b.png", "c.png"])


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_archive_that_is_cut_off_never_loses_pictures_silently(tmp_path, kind):
    files = {f"{number}.png": os.urandom(700) for number in range(4)}
    path = MAKERS[kind](tmp_path, files)
    data, refused = path.read_bytes(), []
    for length in [*range(0, len(data) - 1, 97), *range(0, len(data) - 10240, 512)]:
        path.write_bytes(data[:length])
        try:
            assert contents(open_container(path)) == files  # only padding is missing
        except DatasetError as error:
            refused.append(str(error))
    assert len(refused) > 10
    assert all(message.startswith(str(path)) and "damaged" in message for message in refused)


def test_damaged_header_in_the_middle_of_a_tar_is_found(tmp_path):
    path = tarred(tmp_path / "x.tar", {"a.png": b"1", "b.png": b"2", "c.png": b"3"})
    data = bytearray(path.read_bytes())
    data[1024 + 150] ^= 1  # the checksum of b.png's header
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"x\.tar is damaged \(no file and no end at byte 1024\); get it again"):
        open_container(path)


def test_damaged_file_in_a_zip_is_found_by_its_checksum(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.bmp", b"pixels")
    data = (tmp_path / "x.zip").read_bytes().replace(b"pixels", b"pixelS")
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(DatasetError, match=r"x\.zip/a\.bmp cannot be read: Bad CRC-32.*; remove it or replace it"):
        open_container(tmp_path / "x.zip").read(0)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_huge_file_in_an_archive_is_not_read(tmp_path, monkeypatch, kind):
    path = MAKERS[kind](tmp_path, {"a.png": bytes(1001)})
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 1000)
    with pytest.raises(DatasetError, match=r"/a\.png cannot be read: it .* 1,001 bytes, more than any picture"):
        open_container(path).read(0)


def test_compressed_tar_that_would_fill_the_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_EXPANSION", (100, 2**20))
    tarred(tmp_path / "x.tar.gz", {"a.png": bytes(2**24)}, "w:gz")
    with pytest.raises(
        DatasetError, match=r"x\.tar\.gz unpacks to more than .* bytes; if you trust it, unpack it yourself"
    ):
        open_container(tmp_path / "x.tar.gz")


def test_full_disk_while_unpacking_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(archives.tempfile, "TemporaryFile", functools.partial(open, "/dev/full", "w+b"))
    path = tarred(tmp_path / "x.tar.gz", FILES, "w:gz")
    with pytest.raises(
        DatasetError, match=r"x\.tar\.gz cannot be unpacked in .* \(No space left on device\); make room"
    ):
        open_container(path)


def test_tar_with_a_size_beyond_its_end_is_refused(tmp_path):
    member = tarfile.TarInfo("a.png")
    member.size = 2**43
    (tmp_path / "x.tar").write_bytes(member.tobuf() + bytes(2048))
    with pytest.raises(DatasetError, match=r"x\.tar is damaged \(unexpected end of data\); get it again"):
        open_container(tmp_path / "x.tar")


def test_gzip_of_something_else_is_refused(tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"milk" * 1000))
    with pytest.raises(DatasetError, match=r"x\.gz is damaged"):
        open_container(tmp_path / "x.gz")
