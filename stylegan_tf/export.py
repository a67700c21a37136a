"""A finished generator in the forms that other programs load: one function a format.

    export_savedmodel   DIR/NAME/<version>/              TensorFlow Serving and whatever else loads a SavedModel
    export_litert       DIR/<part>.tflite                phones and small computers
    export_onnx         DIR/<part>.onnx                  ONNX Runtime and the like
    export_web          DIR/index.html, ...              a page that any static web server can serve

Each takes the generator, its model card (`model_card.describe`), which is written beside the export, and the directory.
A directory appears under its name when it is complete; what fails leaves nothing, and nothing is overwritten.
"""

import contextlib
import functools
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from stylegan_tf.arrays import writing
from stylegan_tf.model_card import write_card

NAME = "[A-Za-z0-9][A-Za-z0-9_.-]*"  # of a model: a directory, a part of an address, a word in a shell

# what a model card says of a single file, {} its name
LITERT_USE = """\
`examples/litert_generate.py` of this project makes pictures, of mapping and synthesis together where these are apart:

```
pip install ai-edge-litert numpy pillow
python litert_generate.py --model {files} --seeds 0-3 --outdir pictures
```

Inputs, shapes and all else that a program must know stand in the file as JSON: `unzip -p {file} stylegan.json`. More:
`docs/litert.md`."""
ONNX_USE = """\
ONNX Runtime and others load it. Inputs, shapes and all else that a program must know stand in the file as JSON:

```
import onnxruntime
print(onnxruntime.InferenceSession("{file}").get_modelmeta().custom_metadata_map["stylegan"])
```

More: `docs/litert.md`."""
WEB_USE = """\
Put the folder on any static web server, or look at it here, at http://localhost:8000:

```
python -m http.server
```

More: `docs/web.md`."""


def export_savedmodel(
    generator,
    card: dict,
    directory: str | os.PathLike,
    *,
    name: str = "stylegan",
    noise: str = "random",
    max_batch: int | None = None,
) -> Path:
    """Writes the next version of a model for TensorFlow Serving: `directory`/`name`/<version>/.

    Args:
        generator: A `Generator` or `ProGANGenerator`.
        card: Its model card; "level" and "fade" in it tell how far it has grown.
        directory: Where models are kept; created if missing.
        name: Name of the model, by which a server is asked for it.
        noise: What a seed means beside its latents: "random", noise of its own for each seed as `generate_images.py`
            draws it, or "stored", the network's own noise for all.
        max_batch: Largest number of pictures in a request; None for what holds four megapixels, 4 to 64.

    Returns:
        The directory of the version.

    Raises:
        ValueError: An option has no such value, or the network cannot be served.
        OSError: A file cannot be written.
    """
    from stylegan_tf import serving

    if not re.fullmatch(NAME, name):
        raise ValueError(f"{name!r} is no name for a model; use letters and digits, as in portraits")
    base = Path(directory) / name
    with _new_directory(base / str(_next_version(base))) as (target, partial):
        options = dict(level=card["level"], fade=card["fade"], noise=noise, max_batch=max_batch)
        facts = serving.write(generator, partial, name, **options)
        write_card(card, partial, "TensorFlow SavedModel", serving.how_to_call(facts, name), **facts)
    return target


def export_litert(
    generator,
    card: dict,
    directory: str | os.PathLike,
    *,
    part: str = "generator",
    quantize: str = "float32",
    batch: int = 1,
    noise: str = "stored",
) -> Path:
    """Writes `directory`/<part>.tflite. Returns the directory.

    The options are those of `litert.convert`; `part` may be "both", for a file with the mapping and one with the
    synthesis.
    """
    from stylegan_tf import litert

    convert = functools.partial(litert.convert, generator)
    chosen = dict(part=part, batch=batch, quantize=quantize, noise=noise)
    return _export_parts(convert, card, directory, "LiteRT", ".tflite", LITERT_USE, **chosen)


def export_onnx(
    generator,
    card: dict,
    directory: str | os.PathLike,
    *,
    part: str = "generator",
    noise: str = "stored",
) -> Path:
    """Writes `directory`/<part>.onnx. Returns the directory.

    The options are those of `onnx_model.convert`; `part` may be "both", as with LiteRT.
    """
    from stylegan_tf import onnx_model

    convert = functools.partial(onnx_model.convert, generator)
    return _export_parts(convert, card, directory, "ONNX", ".onnx", ONNX_USE, part=part, noise=noise)


def export_web(generator, card: dict, directory: str | os.PathLike, *, quantize: str = "float16") -> Path:
    """Writes `directory` with a page that generates pictures on its visitor's machine. Returns the directory."""
    from stylegan_tf import web

    with _new_directory(directory) as (target, partial):
        web.write_page(generator, card, partial, quantize=quantize)
        write_card(card, partial, "web page", WEB_USE, quantize=quantize)
    return target


# name on the command line -> what makes it
FORMATS = {"savedmodel": export_savedmodel, "litert": export_litert, "onnx": export_onnx, "web": export_web}


def _export_parts(convert, card, directory, title, ending, use, *, part, **options):
    """Writes a single file for the part, two for "both", and the card. Returns the directory.

    Args:
        convert: From the name of a part, what is known of the network, and the options to the content of its file.
        card, directory: As for all formats.
        title, ending, use: Of the format: what the card calls it, how its files end, what the card says of their use.
        part, options: As they were chosen.
    """
    parts = ("mapping", "synthesis") if part == "both" else (part,)
    files = [f"{name}{ending}" for name in parts]
    metadata = {name: value for name, value in card.items() if name != "training"}  # what a single file says
    with _new_directory(directory) as (target, partial):
        for name, file in zip(parts, files, strict=True):
            content = convert(name, level=card["level"], fade=card["fade"], metadata=metadata, **options)
            (partial / file).write_bytes(content)
        how = use.format(files=" ".join(files), file=files[-1])
        write_card(card, partial, title, how, part=part, **options)
    return target


def _next_version(base):
    """One more than the highest version in the directory of a model; 1 for the first."""
    names = [entry.name for entry in base.iterdir()] if base.is_dir() else []
    return max((int(name) for name in names if name.isdecimal()), default=0) + 1


@contextlib.contextmanager
def _new_directory(path: str | os.PathLike) -> Iterator[tuple[Path, Path]]:
    """Yields (the directory, the hidden one beside it to write to), which gets its name at the end of the block.

    After an error it is removed; what a killed process left there is replaced by the next attempt.
    """
    path = Path(path)
    if not path.name or path.resolve() == Path.cwd():
        raise ValueError(f"--out {path} is no new directory; name one, as in --out {path / 'export'}")
    real = path.resolve()  # a link keeps its place
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(f"{path} exists and is not empty; choose another --out, or remove it")
    partial = real.with_name(f".{real.name}.partial")
    with writing(path):
        real.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            yield path, partial
            os.replace(partial, real)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
