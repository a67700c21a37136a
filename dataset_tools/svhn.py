"""SVHN, street view house numbers: 32x32 pictures of one digit each, in the MATLAB file that its authors publish."""

import numpy as np

from dataset_tools.errors import DatasetError
from dataset_tools.matlab import read_arrays
from dataset_tools.published import PixelSource, count_notes, find_file, one_hot, stamp_of, unreadable

FILE = "train_32x32.mat"
PUBLISHED = 73257
REMEDY = f"download {FILE} from http://ufldl.stanford.edu/housenumbers/ into that folder"


def svhn(svhn_dir):
    """The training set: uint8 [32, 32, 3], 10 labels, class d for the digit d.

    The original reads three pickles, train_1.pkl to train_3.pkl, that nobody publishes. This reads the published file,
    in its order, in which the digit 0 has the label 10. So the order of the pictures may be another one.

    Args:
        svhn_dir: Folder with train_32x32.mat.

    Raises:
        DatasetError: The file is missing, damaged, or holds something else.
    """
    path = find_file(svhn_dir, [FILE], REMEDY)
    images, digits = _read(path)
    outside = np.flatnonzero((digits < 1) | (digits > 10))
    if outside.size:
        number = outside[0]
        raise DatasetError(f"{path} gives picture {number} the label {digits[number]}, not one from 1 to 10; {REMEDY}")
    return PixelSource(
        images.transpose(3, 0, 1, 2),
        FILE,
        stamp_of([path]),
        one_hot(digits % 10, 10, path),
        [str(digit) for digit in range(10)],
        count_notes(len(digits), PUBLISHED, "SVHN"),
    )


def _read(path):
    """(uint8 [32, 32, 3, N], whole numbers [N] from 1 to 10, with 10 for the digit 0)."""
    try:
        arrays = read_arrays(path.read_bytes())
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise DatasetError(f"{path} is no MATLAB 5 file, or is damaged ({error}); {REMEDY}") from error
    images, digits = arrays.get("X"), arrays.get("y")
    if images is None or images.dtype != np.uint8 or images.ndim != 4 or images.shape[:3] != (32, 32, 3):
        raise DatasetError(f"{path} has no uint8 pictures X of 32 x 32 x 3 x N; {REMEDY}")
    count = images.shape[3]
    whole = digits is not None and np.isfinite(digits).all() and np.array_equal(digits, np.round(digits))
    if not count or not whole or digits.shape != (count, 1):
        raise DatasetError(f"{path} has no labels y, one whole number for each of its {count} pictures; {REMEDY}")
    return images, digits[:, 0].astype(np.int64)
