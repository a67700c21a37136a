"""Numeric arrays in MATLAB 5 files: as much of the format as SVHN needs.

After a header of 128 bytes, a file is a row of elements: a tag, which is type and length in 4 bytes each, and that many
bytes. An array is an element of elements (flags, lengths of the axes, name, values), and mostly compressed as a whole.
(Why not scipy: its reader ends the process on some damaged files.)
"""

import struct
import zlib

import numpy as np

HEADER = 128  # bytes
VERSION = b"\x00\x01IM"  # the last bytes of the header: version 5, little endian
MATRIX, COMPRESSED, NAME = 14, 15, 1  # types of elements
NUMBERS = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
NUMERIC = range(6, 16)  # classes of arrays: double, single, int8, ..., uint64
COMPLEX = 0x800


def read_arrays(data):
    """The numeric arrays of a file: {name: array}.

    Values have the type in which they are stored; MATLAB stores whole numbers as small as they allow.

    Args:
        data: Contents of the file.

    Raises:
        ValueError: It is no such file, or is damaged.
    """
    data = memoryview(data)
    if len(data) < HEADER or data[HEADER - 4 : HEADER] != VERSION:
        raise ValueError("its header is not that of MATLAB 5")
    arrays = {}
    for kind, content in _elements(data[HEADER:], padded=False):
        if kind == COMPRESSED:
            kind, content = next(_elements(_decompressed(content)), (None, b""))
        if kind == MATRIX:
            name, array = _array(content)
            if array is not None:
                arrays[name] = array
    return arrays


def _elements(data, padded=True):
    """(type, bytes) of each element. Inside an array they are padded to 8 bytes, and small ones have a shorter tag."""
    position = 0
    while position < len(data):
        if len(data) - position < 8:
            raise ValueError("it is cut short")
        kind, length = struct.unpack_from("<II", data, position)
        start, end = position + 8, position + 8 + length
        if kind >> 16:  # at most 4 bytes, within the tag
            kind, length = kind & 0xFFFF, kind >> 16
            start, end = position + 4, position + 4 + length
            if length > 4:
                raise ValueError("it is damaged")
        if end > len(data):
            raise ValueError("it is cut short")
        yield kind, data[start:end]
        position = max(position + 8, end + -end % 8 if padded else end)


def _decompressed(content):
    try:
        return memoryview(zlib.decompress(content))
    except zlib.error as error:
        raise ValueError(f"it is damaged: {error}") from error


def _array(content):
    """(name, array); no array if it is not numeric: text, a structure, or complex numbers."""
    parts = list(_elements(content))
    if len(parts) < 4 or len(parts[0][1]) != 8 or parts[2][0] != NAME:
        return "", None
    flags, (_, lengths), (_, name), (kind, values) = (parts[0][1], *parts[1:4])
    (flags,) = struct.unpack_from("<I", flags)
    if flags & 0xFF not in NUMERIC or flags & COMPLEX or kind not in NUMBERS or len(lengths) % 4:
        return "", None
    shape = np.frombuffer(lengths, "<i4").tolist()
    values = np.frombuffer(values, NUMBERS[kind], len(values) // np.dtype(NUMBERS[kind]).itemsize)
    if min(shape, default=0) < 0 or int(np.prod(shape, dtype=object)) != len(values):
        raise ValueError(f"it is damaged: {len(values)} values in an array of {shape}")
    return str(name, "latin-1"), values.reshape(shape, order="F")
