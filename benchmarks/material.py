"""What is measured on: pictures that compress like photographs, and data sets made of a few of them."""

import numpy as np
from PIL import Image

from stylegan_tf.record_levels import encode_levels
from stylegan_tf.record_writer import RecordWriter

DIFFERENT = 6  # pictures; the rest are the same ones again
SAVE = {"png": {}, "jpeg": {"quality": 95}}  # PNG with Pillow's defaults


def photograph(size, seed):
    """uint8 [size, size, 3]: noise whose spectrum falls as that of natural images (1/f^1.5), and a sensor's noise."""
    random = np.random.RandomState(seed)
    frequencies = np.fft.fftfreq(size)
    distance = np.hypot(frequencies[:, np.newaxis], frequencies)
    distance[0, 0] = 1 / size
    layers = [np.fft.ifft2(np.fft.fft2(random.randn(size, size)) / distance**1.5).real for _ in range(4)]
    scene, *colours = (layer / layer.std() for layer in layers)
    pixels = np.stack([scene + 0.3 * colour for colour in colours], -1)
    return (128 + 50 * pixels + 1.5 * random.randn(size, size, 3)).clip(0, 255).round().astype(np.uint8)


def picture_folder(folder, size, count, format):
    """Fill a folder with `count` pictures of size x size in a format of `SAVE`; returns it."""
    folder.mkdir(parents=True)
    for number in range(min(count, DIFFERENT)):
        Image.fromarray(photograph(size, number)).save(folder / f"{number:06d}.{format}", format, **SAVE[format])
    for number in range(DIFFERENT, count):
        (folder / f"{number:06d}.{format}").hardlink_to(folder / f"{number % DIFFERENT:06d}.{format}")
    return folder


def data_set(directory, size, count, format):
    """Make a data set of `count` images of size x size in a `RecordFormat`; returns it."""
    images = [encode_levels(photograph(size, number), format) for number in range(DIFFERENT)]
    with RecordWriter(directory, count, format=format) as writer:
        for number in range(count):
            writer.add_records((size, size, 3), images[number % DIFFERENT])
    return directory


def large_data_set(directory, count):
    """Make a data set of `count` images of 8x8, as files only, without manifest; returns it."""
    directory.mkdir(parents=True)
    for record, log2 in zip(encode_levels(photograph(8, 0)), (3, 2), strict=True):
        with open(directory / f"{directory.name}-r{log2:02d}.tfrecords", "wb") as file:
            for start in range(0, count, 1000):
                file.write(record * min(1000, count - start))
    return directory
