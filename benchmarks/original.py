"""The original's algorithms for records, written from the facts: what ours are measured against.

One process and one thread write (section 14.2 of the reference): Pillow decodes, float32 planes are averaged through
strided slices, `tf.train.Example` is serialised, one `TFRecordWriter` a level. `tf.data` reads (section 14.3).
"""

import math
from pathlib import Path

import numpy as np
from PIL import Image

BUFFER_BYTES = 256 * 2**20  # of a file, `buffer_mb`
THREADS = 2  # that parse records, `num_threads`


def write(image_dir, tfrecord_dir):
    """Make a data set of a folder of square pictures of one size; returns how many.

    Every level is rounded, the full resolution too, in float32 from the beginning: what the facts say, and they leave
    open whether the first level is spared.
    """
    import tensorflow as tf

    paths = sorted(Path(image_dir).iterdir())
    order = np.arange(len(paths))
    np.random.RandomState(123).shuffle(order)
    directory = Path(tfrecord_dir)
    directory.mkdir()
    writers = []
    for index in order:
        planes = np.asarray(Image.open(paths[index])).transpose(2, 0, 1).astype(np.float32)  # [C, R, R]
        for level in range(planes.shape[1].bit_length() - 2):  # down to 4x4
            if level:
                cells = [planes[:, row::2, column::2] for row in (0, 1) for column in (0, 1)]
                planes = (cells[0] + cells[1] + cells[2] + cells[3]) * np.float32(0.25)
            if level == len(writers):
                name = f"{directory.name}-r{planes.shape[1].bit_length() - 1:02d}.tfrecords"
                writers.append(tf.io.TFRecordWriter(str(directory / name)))
            writers[level].write(_example(tf, np.rint(planes).clip(0, 255).astype(np.uint8)))
    for writer in writers:
        writer.close()
    return len(paths)


def _example(tf, planes):
    """uint8 [C, R, R] as a serialised `tf.train.Example`."""
    shape = tf.train.Feature(int64_list=tf.train.Int64List(value=planes.shape))
    data = tf.train.Feature(bytes_list=tf.train.BytesList(value=[planes.tobytes()]))
    return tf.train.Example(features=tf.train.Features(feature={"shape": shape, "data": data})).SerializeToString()


def batches(path, shape, batch_size, shuffle_mb=4096, prefetch_mb=2048):
    """Endless iterator of batches uint8 [N, C, H, W] of one level.

    Args:
        path: A file of records.
        shape: (C, H, W) of its images.
        batch_size: N.
        shuffle_mb: Size of the buffer out of which images are drawn.
        prefetch_mb: Size of the buffer behind it.
    """
    import tensorflow as tf

    def parse(record):
        features = {"shape": tf.io.FixedLenFeature([3], tf.int64), "data": tf.io.FixedLenFeature([], tf.string)}
        found = tf.io.parse_single_example(record, features)
        return tf.reshape(tf.io.decode_raw(found["data"], tf.uint8), found["shape"])

    def items(megabytes):
        return math.ceil(megabytes * 2**20 / math.prod(shape))

    dataset = tf.data.TFRecordDataset(str(path), buffer_size=BUFFER_BYTES).map(parse, num_parallel_calls=THREADS)
    labels = tf.data.Dataset.from_tensors(np.zeros([0], np.float32)).repeat()
    dataset = tf.data.Dataset.zip((dataset, labels)).shuffle(items(shuffle_mb)).repeat()
    return dataset.prefetch(items(prefetch_mb)).batch(batch_size).as_numpy_iterator()
