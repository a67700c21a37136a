"""A generator as a SavedModel: the signatures of `serving_signatures.py` with no Python behind them."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from stylegan_tf.network import in_dtype
from stylegan_tf.serving_guards import Guard
from stylegan_tf.serving_signatures import signatures_of
from stylegan_tf.serving_warmup import write_warmup

REQUEST_PIXELS = 4 * 2**20  # of the pictures of one request, by default
MAX_BATCH = 65536  # no server holds so many pictures
NOISE = ("random", "stored")


def write(
    generator,
    directory: Path,
    model: str,
    *,
    level: int,
    fade: float,
    noise: str = "random",
    max_batch: int | None = None,
) -> dict:
    """Writes a SavedModel with its warm-up requests; it computes in float32, whatever the network was trained in.

    Args:
        generator: A `Generator` or `ProGANGenerator`.
        directory: An empty one.
        model: Its name on the server.
        level, fade: How far it has grown; pictures have the size that it has reached.
        noise: What a seed means beside its latents: "random", noise of its own as `generate_images.py` draws it, or
            "stored", the network's.
        max_batch: Largest number of pictures in a request; None for as many as hold four megapixels, 4 to 64.

    Returns:
        What a client must know, for the model card: "max_batch", "noise" and "signatures".

    Raises:
        ValueError: There is no such noise, or no request could be that large.
    """
    if noise not in NOISE:
        raise ValueError(f"noise is {noise!r}, not one of {', '.join(NOISE)}")
    if max_batch is not None and not 1 <= max_batch <= MAX_BATCH:
        raise ValueError(f"max_batch must be from 1 to {MAX_BATCH}, not {max_batch}")
    generator = in_dtype(generator, "float32")
    max_batch = max_batch or largest_request(generator.resolution >> level)
    signatures = signatures_of(generator, level, fade, noise)
    module, guard = tf.Module(name="generator"), Guard(max_batch)
    module.guard = guard
    module.weights = [variable.value for variable in generator.variables]  # all that is saved beside the graphs
    traced = {name: _traced(signature, guard) for name, signature in signatures.items()}
    # Our layers' gradients are functions of their own, which nobody asks a server for.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(directory), traced, options)
    requests = [(name, _example(signature.inputs)) for name, signature in signatures.items()]
    write_warmup(directory, model, requests)
    described = {name: _described(signature) for name, signature in signatures.items()}
    return {"max_batch": max_batch, "noise": noise, "signatures": described}


def largest_request(size: int) -> int:
    """Pictures of `size` pixels in a request by default: as many as hold four megapixels, 4 to 64."""
    return min(max(REQUEST_PIXELS // size**2, 4), 64)


def _traced(signature, guard):
    """A graph with the names of the signature, behind its checks."""

    def call(**tensors):
        return {signature.output: signature.function(**guard(tensors, signature.inputs))}

    specs = {name: wanted.spec(name) for name, wanted in signature.inputs.items()}
    return tf.function(call, autograph=False).get_concrete_function(**specs)


def _example(inputs):
    """A request for one picture."""
    values = {"truncation_psi": 0.7}
    return {
        name: np.full([1, *wanted.shape], values.get(name, 0), wanted.dtype.as_numpy_dtype)
        for name, wanted in inputs.items()
    }


def _described(signature):
    inputs = {}
    for name, wanted in signature.inputs.items():
        shape = ", ".join(["N", *map(str, wanted.shape)])
        allowed = "" if wanted.low is None else f", from {wanted.low:.0f} to {wanted.high:.0f}"
        inputs[name] = f"{wanted.dtype.name} [{shape}]{allowed}: {wanted.meaning}"
    return {"inputs": inputs, "output": {signature.output: signature.result}}


def how_to_call(facts: dict, model: str) -> str:
    """What `write` returned as Markdown."""
    rows = ["| signature | inputs | output |", "| --- | --- | --- |"]
    for name, signature in facts["signatures"].items():
        inputs = "<br>".join(f"`{key}` {text}" for key, text in signature["inputs"].items())
        output = "<br>".join(f"`{key}` {text}" for key, text in signature["output"].items())
        rows.append(f"| `{name}` | {inputs} | {output} |")
    noise = {"random": "A seed has noise of its own.", "stored": "Every seed has the network's own noise."}
    return "\n".join(
        [
            "```",
            f'docker run -p 8501:8501 -v "$PWD/{model}:/models/{model}" -e MODEL_NAME={model} tensorflow/serving',
            f"python examples/serving_client.py --model {model} --seeds 0-3 --outdir pictures",
            "```",
            "",
            f"A request is for 1 to {facts['max_batch']} pictures; every input has one row a picture. "
            f"{noise[facts['noise']]} Latents alone have the network's own noise.",
            "",
            *rows,
        ]
    )
