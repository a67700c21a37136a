"""The record format of the original, both directions: one image, one record; one file a level of detail.

    datasets/ffhq/ffhq-r10.tfrecords   1024x1024 ... ffhq-r02.tfrecords   4x4
    datasets/ffhq/ffhq-rxx.labels      float32 [images, label_size], a .npy stream; only if there are labels
    datasets/ffhq/dataset.json         what is in there, for people and for us; other readers ignore it

A record is a length, its checksum, a payload, its checksum. The payload is a serialised `tf.train.Example` of two
features, `shape` [C, H, W] and `data`, the bytes in the same order. This is the only place that knows CHW records, and
it needs no TensorFlow: a protocol buffer of two features is read and written in a few lines.
"""

import contextlib
import json
import os
import shutil
import struct
from pathlib import Path

import google_crc32c
import numpy as np

FRAME = 12  # bytes before the payload: length (8), checksum of the length (4); 4 more follow the payload


class RecordError(ValueError):
    """A file that is damaged or no record file; the message names file, record and byte offset."""


# ---------------------------------------------------------------------------------------------------------------------
# One record


def masked_crc(data):
    """The checksum of TFRecord files: CRC-32C, rotated and shifted by a constant."""
    crc = google_crc32c.value(bytes(data))
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def encode(image):
    """uint8 [C, H, W] to the bytes of one framed record."""
    dimensions = _field(1, b"".join(_varint(size) for size in image.shape))
    features = _feature(b"shape", _field(3, dimensions)) + _feature(b"data", _field(1, _field(1, image.tobytes())))
    payload = _field(1, features)
    length = struct.pack("<Q", len(payload))
    checksums = struct.pack("<I", masked_crc(length)), struct.pack("<I", masked_crc(payload))
    return length + checksums[0] + payload + checksums[1]


def decode(payload):
    """Payload of one record to (shape [C, H, W], offset and size of the image's bytes within the payload).

    Raises:
        RecordError: This is no image record.
    """
    found = {}
    try:
        (features,) = [span for number, span in _fields(payload, 0, len(payload)) if number == 1]
        for _, entry in _fields(payload, *features):
            parts = dict(_fields(payload, *entry))  # 1: key, 2: feature
            key = bytes(payload[slice(*parts[1])])
            ((kind, values),) = _fields(payload, *parts[2])
            found[key] = kind, values
        kind, (start, stop) = found[b"shape"]
        shape = []
        for number, span in _fields(payload, start, stop):
            if kind == 3 and number == 1:  # packed, or one value a field
                shape += _varints(payload, *span) if isinstance(span, tuple) else [span]
        kind, values = found[b"data"]
        ((number, (start, stop)),) = _fields(payload, *values)
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise RecordError("not an image record with the features 'shape' and 'data'") from error
    if kind != 1 or len(shape) != 3 or stop - start != int(np.prod(shape)):
        raise RecordError(f"an image record whose shape {shape} does not go with its {stop - start} bytes")
    return tuple(shape), start, stop - start


def _varint(value):
    """Base-128 encoding of a non-negative integer."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _field(number, data):
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _feature(key, value):
    return _field(1, _field(1, key) + _field(2, value))


def _read_varint(data, position):
    value = shift = 0
    while True:
        byte = int(data[position])
        position += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, position
        if shift > 63:
            raise ValueError("varint too long")


def _varints(data, start, stop):
    values = []
    while start < stop:
        value, start = _read_varint(data, start)
        values.append(value)
    return values


def _fields(data, start, stop):
    """[(field number, span (start, stop) of a nested field, or the integer itself)] of one message."""
    fields = []
    while start < stop:
        key, start = _read_varint(data, start)
        value, start = _read_varint(data, start)
        if key & 7 == 2:
            value, start = (start, start + value), start + value
            if start > stop:
                raise ValueError("a field reaches beyond its message")
        elif key & 7:
            raise ValueError("unexpected wire type")
        fields.append((key >> 3, value))
    return fields


# ---------------------------------------------------------------------------------------------------------------------
# Reading


class RecordFile:
    """Random access to the images of one record file, through a memory map.

    Args:
        path: A `.tfrecords` file.

    Attributes:
        shape: [C, H, W] of its images.
        resolution: H.

    Raises:
        RecordError: The file is empty, cut off or no record file.
    """

    def __init__(self, path):
        self.path = Path(path)
        if self.path.stat().st_size == 0:
            raise RecordError(f"{self.path} is empty; make the data set again")
        self.data = np.memmap(self.path, np.uint8, "r")
        self.offsets = self._index()
        self.shape, _, _ = self._decode(0)
        self.resolution = self.shape[1]

    def __len__(self):
        return len(self.offsets)

    def read(self, indices):
        """Images uint8 [len(indices), H, W, C].

        Raises:
            RecordError: A record is damaged; file, record and byte offset are named.
        """
        images = np.empty([len(indices), *self.shape], np.uint8)
        for row, index in enumerate(indices):
            shape, start, size = self._decode(index)
            if shape != self.shape:
                self._fail(index, f"has shape {list(shape)}, but the first one {list(self.shape)}")
            begin = self.offsets[index] + FRAME + start
            images[row] = self.data[begin : begin + size].reshape(shape)
        return np.ascontiguousarray(images.transpose(0, 2, 3, 1))

    def _index(self):
        """Byte offset of each record; at once if all have the length of the first, else one after the other."""
        size = len(self.data)
        stride = self._length(0) + FRAME + 4
        if size % stride == 0:
            starts = np.arange(0, size, stride)
            lengths = np.lib.stride_tricks.as_strided(self.data, [len(starts), 8], [stride, 1])
            if (lengths == lengths[0]).all():
                return starts
        offsets, position = [], 0
        while position < size:
            offsets.append(position)
            position += self._length(position, len(offsets) - 1) + FRAME + 4
        return np.array(offsets)

    def _length(self, position, index=0):
        header = bytes(self.data[position : position + FRAME])
        if len(header) == FRAME and struct.unpack("<I", header[8:])[0] == masked_crc(header[:8]):
            (length,) = struct.unpack("<Q", header[:8])
            if position + FRAME + length + 4 <= len(self.data):
                return length
        raise RecordError(
            f"{self.path}: record {index} at byte {position} is damaged or cut off; make the data set again"
        )

    def _decode(self, index):
        position = int(self.offsets[index])
        length = self._length(position, index)
        payload = self.data[position + FRAME : position + FRAME + length]
        end = position + FRAME + length
        if struct.unpack("<I", bytes(self.data[end : end + 4]))[0] != masked_crc(payload):
            self._fail(index, "is damaged: its checksum differs")
        try:
            return decode(payload)
        except RecordError as error:
            self._fail(index, f"is {error}")

    def _fail(self, index, what):
        position = int(self.offsets[index])
        raise RecordError(f"{self.path}: record {index} at byte {position} {what}; make the data set again")


def open_levels(tfrecord_dir, resolution=None):
    """The record files of a data set, by level.

    Args:
        tfrecord_dir: Directory of a data set.
        resolution: Full resolution to use, in pixels; larger files are ignored. None for the largest there is.

    Returns:
        List of `RecordFile`, from the full resolution (level 0) down to 4x4.

    Raises:
        ValueError: No such data set, a level is missing, or the files disagree; directory or file is named.
    """
    directory = Path(tfrecord_dir)
    paths = sorted(directory.glob("*.tfrecords")) if directory.is_dir() else []
    if not paths:
        what = "holds no .tfrecords file" if directory.is_dir() else "is no directory"
        raise ValueError(f"{directory} {what}; make a data set with dataset_tool.py")
    files = {}
    for path in paths:
        file = RecordFile(path)
        if file.shape[1] != file.shape[2]:
            raise ValueError(f"{path}: images must be square, not {list(file.shape)} (channels, height, width)")
        if file.resolution in files:
            raise ValueError(f"{path} and {files[file.resolution].path} have the same resolution; keep one of them")
        files[file.resolution] = file
    top = resolution or max(files)
    if top not in files:
        raise ValueError(f"{directory} has no images of {top} pixels, only {', '.join(map(str, sorted(files)))}")
    levels = []
    while top >= 4:
        if top not in files:
            raise ValueError(f"{directory} lacks the file for {top} pixels; make the data set again")
        levels.append(files[top])
        top //= 2
    for file in levels[1:]:
        if (file.shape[0], len(file)) != (levels[0].shape[0], len(levels[0])):
            raise ValueError(
                f"{file.path} has {len(file)} images of {file.shape[0]} channels, but {levels[0].path} has "
                f"{len(levels[0])} of {levels[0].shape[0]}; make the data set again"
            )
    return levels


def load_labels(tfrecord_dir, num_images):
    """Labels of a data set, float32 [num_images, label_size]; label_size 0 if it has none.

    Raises:
        ValueError: The file of labels is damaged or too short; it is named.
    """
    paths = sorted(Path(tfrecord_dir).glob("*.labels"))
    if not paths:
        return np.zeros([num_images, 0], np.float32)
    try:
        with open(paths[0], "rb") as file:
            labels = np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{paths[0]} is no file of labels: {error}") from error
    if labels.ndim != 2 or len(labels) < num_images:
        raise ValueError(f"{paths[0]} has labels of shape {list(labels.shape)} for {num_images} images")
    return labels[:num_images].astype(np.float32)


# ---------------------------------------------------------------------------------------------------------------------
# Writing


class RecordWriter:
    """Writes a data set; it appears under its name when the `with` block ends well, and not at all otherwise.

    Args:
        tfrecord_dir: Directory to make; its last part names the files.
        expected_images: Number of images that will come.
        description: JSON-able facts for `dataset.json`.

    Raises:
        ValueError: The directory exists already.
        OSError: It cannot be written.
    """

    def __init__(self, tfrecord_dir, expected_images, description=None):
        self.directory = Path(os.path.abspath(tfrecord_dir))  # without a trailing slash (trap 49)
        self.expected_images = expected_images
        self.description = dict(description or {})
        self.partial = self.directory.with_name(f".{self.directory.name}.partial-{os.getpid()}")
        self.shape, self.files, self.count, self.label_size = None, [], 0, 0

    def choose_shuffled_order(self):
        """A permutation of the expected images, always the same one for the same number."""
        order = np.arange(self.expected_images)
        np.random.RandomState(123).shuffle(order)
        return order

    def add_image(self, image, name="image"):
        """Append one image, uint8 [H, W, C], to every level.

        Each lower level is the mean of 2x2 cells of the one above before rounding (trap 48).

        Raises:
            ValueError: Channels are not 1 or 3, the image is not square, not a power of two, or unlike the first; it is
                called by `name`.
        """
        image = np.asarray(image)
        if image.ndim != 3 or image.dtype != np.uint8 or image.shape[2] not in (1, 3):
            raise ValueError(f"{name} is {image.dtype} {list(image.shape)}; expected 8 bits and 1 or 3 channels")
        if self.shape is None:
            self._start(image, name)
        if image.shape != self.shape:
            raise ValueError(f"{name} is {_size(image.shape)}, but the first image was {_size(self.shape)}")
        pixels = image.transpose(2, 0, 1).astype(np.float32)
        for file in self.files:
            file.write(encode(np.rint(pixels).clip(0, 255).astype(np.uint8)))
            c, h, w = pixels.shape
            pixels = pixels.reshape(c, h // 2, 2, w // 2, 2).mean(axis=(2, 4), dtype=np.float32)
        self.count += 1

    def add_labels(self, labels):
        """Write the labels, float32 [images, label_size], in the order of the images."""
        labels = np.asarray(labels, np.float32)
        if labels.ndim != 2 or len(labels) != self.count:
            raise ValueError(f"labels of shape {list(labels.shape)} do not go with {self.count} images")
        self.label_size = labels.shape[1]
        with open(self.partial / f"{self.directory.name}-rxx.labels", "wb") as file:
            np.save(file, labels)

    def __enter__(self):
        if self.directory.exists() and (not self.directory.is_dir() or any(self.directory.iterdir())):
            raise ValueError(f"{self.directory} exists already; remove it or choose another name")
        self.partial.mkdir(parents=True)
        return self

    def __exit__(self, kind, error, traceback):
        try:
            with contextlib.ExitStack() as files:  # closes all, also if the disk is full and closing one fails
                for file in self.files:
                    files.push(file)
            if kind is None:
                self._finish()
        finally:
            shutil.rmtree(self.partial, ignore_errors=True)

    def _start(self, image, name):
        height, width, _ = image.shape
        if height != width or height < 4 or height & (height - 1):
            raise ValueError(f"{name} is {_size(image.shape)}; expected a square whose side is a power of two")
        self.shape = image.shape
        for log2 in range(height.bit_length() - 1, 1, -1):
            path = self.partial / f"{self.directory.name}-r{log2:02d}.tfrecords"
            self.files.append(open(path, "wb"))  # noqa: SIM115 (closed in __exit__)

    def _finish(self):
        if self.count == 0:
            raise ValueError(f"{self.directory}: no images, no data set")
        facts = {"images": self.count, "shape": list(self.shape), "label_size": self.label_size, **self.description}
        (self.partial / "dataset.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        for path in self.partial.iterdir():
            descriptor = os.open(path, os.O_RDWR)
            os.fsync(descriptor)
            os.close(descriptor)
        if self.directory.is_dir():
            self.directory.rmdir()  # empty, or it would have been refused
        self.partial.rename(self.directory)


def _size(shape):
    return f"{shape[1]}x{shape[0]} with {shape[2]} channel{'s' if shape[2] > 1 else ''}"
