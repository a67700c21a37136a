"""One image, one record: the bytes of the original's format, both directions.

A record is a length, its checksum, a payload, its checksum. The payload is a serialised `tf.train.Example`:

    shape      int64 [C, H, W]
    data       the image: uint8 in C, H, W order, or the bytes of a compressed picture
    encoding   "png", "webp" or "jpeg"; only if the picture is compressed: our extension of the original's format

It needs no TensorFlow: a protocol buffer of three features is read and written in a few lines.
"""

import functools
import struct
from typing import NamedTuple

import google_crc32c
import numpy as np

HEAD = 12  # bytes before the payload: length (8), checksum of the length (4)
TAIL = 4  # bytes behind it: its checksum
LARGEST = 2**14  # pixels; a compressed record may announce any size, and that much memory is asked for
ENCODINGS = ("raw", "png", "webp", "jpeg")


class RecordError(ValueError):
    """A file that is damaged or no record file; the message names file, record and byte offset."""


class Span(NamedTuple):
    """What a payload holds, and where in it the image's bytes are."""

    shape: tuple  # C, H, W
    start: int
    size: int
    encoding: str


def masked_crc(*parts):
    """The checksum of TFRecord files: CRC-32C of all parts in a row, rotated and shifted by a constant."""
    crc = 0
    for part in parts:
        crc = google_crc32c.extend(crc, part)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame(*parts):
    """A payload, given in parts, as a record: bytes."""
    length = struct.pack("<Q", sum(len(part) for part in parts))
    head = length + struct.pack("<I", masked_crc(length))
    return b"".join([head, *parts, struct.pack("<I", masked_crc(*parts))])


def payload_length(head):
    """Length of the payload that a record's first `HEAD` bytes announce; None if they are damaged."""
    head = bytes(head)
    if len(head) < HEAD or struct.unpack("<I", head[8:])[0] != masked_crc(head[:8]):
        return None
    return struct.unpack("<Q", head[:8])[0]


def encode(shape, data, encoding="raw"):
    """One record.

    Args:
        shape: C, H, W.
        data: Bytes of the image, or a contiguous uint8 array of rank 1.
        encoding: One of `ENCODINGS`.
    """
    before, behind = _envelope(tuple(shape), len(data), encoding)
    return frame(before, data, behind) if behind else frame(before, data)


@functools.lru_cache(maxsize=256)
def _envelope(shape, size, encoding):
    """What stands before and behind the `size` bytes of an image in a payload."""
    dimensions = b"".join(_varint(length) for length in shape)
    before = _feature(b"shape", _field(3, _field(1, dimensions)))
    behind = b"" if encoding == "raw" else _feature(b"encoding", _field(1, _field(1, encoding.encode())))
    data = b""
    for number in (1, 1, 2):  # from inside: value of the list of bytes, list of the feature, feature of the entry
        data = _header(number, len(data) + size) + data
    data = _field(1, b"data") + data
    data = _header(1, len(data) + size) + data
    before += data
    return _header(1, len(before) + size + len(behind)) + before, behind


def decode(payload):
    """What is in a payload: a `Span`.

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
        start, stop = _bytes_of(payload, *found[b"data"])
        encoding = "raw"
        if b"encoding" in found:
            encoding = bytes(payload[slice(*_bytes_of(payload, *found[b"encoding"]))]).decode()
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise RecordError("not an image record with the features 'shape' and 'data'") from error
    if encoding not in ENCODINGS:
        raise RecordError(f"an image record in the unknown encoding {encoding!r}")
    fits = stop - start == np.prod(shape, dtype=object) if encoding == "raw" else max(shape, default=0) <= LARGEST
    if len(shape) != 3 or min(shape) < 1 or not fits:
        raise RecordError(f"an image record whose shape {shape} does not go with its {stop - start} bytes")
    return Span(tuple(shape), start, stop - start, encoding)


def _bytes_of(payload, kind, values):
    """Where the one value of a feature that is a list of bytes stands."""
    ((number, span),) = _fields(payload, *values)
    if kind != 1 or number != 1:
        raise ValueError("no list of one value of bytes")
    return span


# ---------------------------------------------------------------------------------------------------------------------
# Protocol buffers


def _varint(value):
    """Base-128 encoding of a non-negative integer."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _header(number, size):
    return bytes([number << 3 | 2]) + _varint(size)


def _field(number, data):
    return _header(number, len(data)) + data


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
