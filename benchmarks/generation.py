"""Measures pictures: latency and throughput of the paper's generators, and the original's algorithm."""

import sys

from benchmarks.choices import parse_choices
from benchmarks.table import measure
from benchmarks.training import convolution
from stylegan_tf.console import friendly_errors

EXAMPLES = """\
Examples:
  python -m benchmarks generation                                      # 64, 256, 1024 pixels, batches of 1, 4, 16
  python -m benchmarks generation --sizes 1024 --batches 1 --repeats 15
  python -m benchmarks generation --plot cost.png --out cost.json
  python -m benchmarks generation --quick                              # the numbers mean nothing

Contenders:
  float32, bfloat16    compiled, as generate_images.py does for many pictures, and the metrics for all
  eager                float32, not compiled, as generate_images.py does for a few
  plain                the original's algorithm, written plainly (benchmarks/plain.py), float32

From latents to images, with stored noise. Operations and "of conv" as for `python -m benchmarks training`.
"""
CONTENDERS = {
    "float32": {},
    "bfloat16": {"dtype": "bfloat16"},
    "eager": {"way": "eager"},
    "plain": {"way": "plain"},
}


USUAL = [64, 256, 1024], [1, 4, 16], 7, list(CONTENDERS)
QUICK = [8], [2], 1, list(CONTENDERS)


def parse_arguments(arguments=None):
    prog = "python -m benchmarks generation"
    return parse_choices(arguments, __doc__, EXAMPLES, prog, CONTENDERS, USUAL, QUICK)


def pictures(size, batch, dtype="float32", way="compiled", feature_maps=512):
    """A function that generates images of `size` pixels, `batch` at a time: for a `Contender`."""
    import numpy as np
    import tensorflow as tf

    from benchmarks import operations
    from stylegan_tf.generator import Generator
    from stylegan_tf.xla import compiled

    generator = Generator(resolution=size, fmap_max=feature_maps, dtype=dtype)
    latents = tf.constant(np.random.RandomState(0).randn(batch, generator.latent_size), tf.float32)
    facts = {"images": batch, "operations": sum(operations.forward(generator).values()) * batch}
    if way == "plain":
        from benchmarks.plain import generate, weights_of

        run = tf.function(lambda z: generate(weights_of(generator), z, size))
    else:
        run = lambda z: generator(z, truncation_psi=None, randomize_noise=False)  # noqa: E731
        run = compiled(run) if way == "compiled" else run
    return lambda: run(latents).numpy(), facts


def tasks_of(options, size, batch):
    """{name: task} of one group, for `take_turns`."""
    common = dict(size=size, batch=batch, feature_maps=4 if options.quick else 512)
    tasks = {name: (pictures, common | CONTENDERS[name]) for name in options.contenders}
    for dtype in dict.fromkeys(CONTENDERS[name].get("dtype", "float32") for name in options.contenders):
        tasks[f"convolution, {dtype}"] = (convolution, dict(dtype=dtype, quick=options.quick))
    return tasks


def main(arguments=None):
    options = parse_arguments(arguments)
    with friendly_errors():
        measure(options, "Pictures of {size} pixels, {batch} at a time", "picture", tasks_of)


if __name__ == "__main__":
    sys.exit(main())
