"""A page that makes pictures on its visitor's device: a folder of files for any static web server.

    generator ─▶ mapping.tflite, synthesis.tflite, noise.bin (the stored noise), mean.png
    web_page/ ─▶ index.html with the network described in it, page.js, worker.js, ...
    npm       ─▶ litert/: LiteRT.js, which runs the .tflite files in WebAssembly

The page fetches from its own folder alone. Its seeds are those of `figures.latents_from_seeds`.
"""

import base64
import hashlib
import html
import json
import re
import shutil
from pathlib import Path

import numpy as np
from keras import ops as K

from stylegan_tf import litert
from stylegan_tf.figures import style_ranges
from stylegan_tf.images import save_png, to_uint8
from stylegan_tf.page import definitions, embedded, fill

PAGE = Path(__file__).with_name("web_page")
COPIED = ("style.css", "page.js", "engine.js", "worker.js", "link.js", "numpy_random.js")
PACKAGES = {"@litertjs/core": "2.5.3", "@litertjs/wasm-utils": "2.5.3"}
VARIANTS = ("litert_wasm_internal", "litert_wasm_compat_internal")  # with and without relaxed SIMD
IMPORT = '"@litertjs/wasm-utils"'  # of core.js: a name that only build tools understand
NOTICE = """\
This folder holds LiteRT.js, which computes the pictures of this page:

  {packages}

Copyright Google LLC, licensed under the Apache License, Version 2.0 (the file LICENSE beside this one).
Its source is https://github.com/google-ai-edge/LiteRT; the .wasm files are compiled from that and from the
libraries named there.

One line was changed: core.js imports "./wasm_utils.js" instead of "@litertjs/wasm-utils".

The page around it belongs to "StyleGAN for TensorFlow 2 and Keras 3" and has the same licence. The network does not:
see the model card.
"""


def write_page(generator, card: dict, directory: Path, *, quantize: str = "float16") -> None:
    """Writes the page of a generator.

    Args:
        generator: A `Generator`.
        card: What `model_card.describe` says of it; the page shows that.
        directory: An existing directory, which receives the files.
        quantize: Weights of the two networks, see `litert.convert`: "float32", "float16" or "dynamic_int8".

    Raises:
        ValueError: The generator is a Progressive GAN, which has no styles, or has other channels than gray, RGB, RGBA;
            or LiteRT.js is not installed, or another version of it, and the message says what to type.
        OSError: A file cannot be written.
    """
    if not hasattr(generator, "synthesis"):
        raise ValueError("the page needs a StyleGAN, which has styles; export a Progressive GAN with --format litert")
    if generator.num_channels not in (1, 3, 4):
        raise ValueError(f"the page shows gray, RGB or RGBA pictures, not {generator.num_channels} channels")
    runtime = find_runtime()
    growth = dict(level=card["level"], fade=card["fade"])
    for part in ("mapping", "synthesis"):
        noise = "input" if part == "synthesis" else "stored"
        model = litert.convert(generator, part, quantize=quantize, noise=noise, **growth)
        (directory / f"{part}.tflite").write_bytes(model)
    widths = noise_widths(generator, card["level"])
    if widths:
        images = generator.synthesis.noise_images[: len(widths)]
        values = np.concatenate([image.numpy().ravel() for image in images])
        (directory / "noise.bin").write_bytes(values.astype("<f4").tobytes())
    save_png(directory / "mean.png", mean_picture(generator, **growth))
    copy_runtime(runtime, directory / "litert")
    for name in COPIED:
        shutil.copyfile(PAGE / name, directory / name)
    index = fill_index(description(generator, directory, widths, card["level"]), card)
    (directory / "index.html").write_text(index, encoding="utf-8")


def find_runtime(page: Path = PAGE) -> dict[str, Path]:
    """Directory of each package in `PACKAGES`; a ValueError with the command that installs them."""
    found = {name: page / "node_modules" / name for name in PACKAGES}
    for name, directory in found.items():
        try:
            version = json.loads((directory / "package.json").read_text(encoding="utf-8"))["version"]
        except FileNotFoundError:
            version = "nothing"
        if version != PACKAGES[name]:
            raise ValueError(
                f"the page needs {name} {PACKAGES[name]}, but {directory} holds {version}. "
                f"With Node.js installed, type: npm ci --prefix {page}"
            )
    return found


def copy_runtime(runtime, directory):
    """LiteRT.js with its licence; paths instead of the names that only build tools understand."""
    directory.mkdir()
    core = (runtime["@litertjs/core"] / "dist" / "index.js").read_text(encoding="utf-8")
    if core.count(IMPORT) != 1:
        raise ValueError(f"{runtime['@litertjs/core']} does not import {IMPORT} once; type: npm ci --prefix {PAGE}")
    core = core.replace(IMPORT, '"./wasm_utils.js"')
    (directory / "core.js").write_text(_without_map(core), encoding="utf-8")
    utils = (runtime["@litertjs/wasm-utils"] / "dist" / "index.js").read_text(encoding="utf-8")
    (directory / "wasm_utils.js").write_text(_without_map(utils), encoding="utf-8")
    for variant in VARIANTS:
        for ending in ("js", "wasm"):
            name = f"{variant}.{ending}"
            shutil.copyfile(runtime["@litertjs/core"] / "wasm" / name, directory / name)
    shutil.copyfile(PAGE / "LICENSE", directory / "LICENSE")
    packages = "\n  ".join(f"{name} {version}" for name, version in PACKAGES.items())
    (directory / "NOTICE.txt").write_text(NOTICE.format(packages=packages), encoding="utf-8")


def _without_map(script):
    """A script without the address of its source map, a file that is not copied."""
    return re.sub(r"^//# sourceMappingURL=.*$", "", script, flags=re.MULTILINE)


def noise_widths(generator, level):
    """Width of the noise image of each layer, as far as the network has grown; [] if it has no noise inputs."""
    if not generator.synthesis.use_noise:
        return []
    stages = (generator.resolution >> level).bit_length() - 2
    return [4 << index // 2 for index in range(2 * stages)]


def mean_picture(generator, level, fade):
    """The picture of the mean w, uint8 [H, W, C], at most 256 pixels wide: what the page shows while it loads."""
    dlatents = K.broadcast_to(generator.dlatent_avg, [1, generator.num_layers, generator.dlatent_avg.shape[0]])
    images = generator.synthesis(dlatents, level=level, fade=fade, randomize_noise=False)
    return to_uint8(K.convert_to_numpy(images), shrink=max(1, images.shape[1] // 256))[0]


def description(generator, directory, widths, level):
    """What the scripts need to know of the network."""
    styled = generator.num_layers > 1
    styles = style_ranges(generator.num_layers - 2 * level) if styled else {}
    files = ["mapping.tflite", "synthesis.tflite", *(f"litert/{variant}.wasm" for variant in VARIANTS)]
    files += ["noise.bin"] if widths else []
    return {
        "size": generator.resolution >> level,
        "channels": generator.num_channels,
        "latentSize": generator.latent_size,
        "labels": generator.label_size,
        "layers": generator.num_layers,
        "truncates": bool(generator.truncation_cutoff),
        "styles": {name: [layers.start, layers.stop] for name, layers in styles.items()},
        "noiseWidths": widths,
        "files": {name: _stamp(directory / name) for name in files},
    }


def _stamp(path):
    content = path.read_bytes()
    return {"size": len(content), "digest": hashlib.sha256(content).hexdigest()[:8]}


def fill_index(network, card):
    """index.html with a network in it."""
    script = (PAGE / "first.js").read_text(encoding="utf-8")
    classes = (f'<option value="{index}">{index}</option>' for index in range(network["labels"]))
    boxes = (_style_box(name, *layers) for name, layers in network["styles"].items())
    filled = {
        "title": html.escape(f"StyleGAN: {card['data_set']}" if card["data_set"] else "StyleGAN"),
        "facts": definitions(facts(card)),
        "classes": "".join(classes),
        "styles": "".join(boxes),
        "no_classes": "" if network["labels"] else "hidden",
        "no_truncation": "" if network["truncates"] else "hidden",
        "no_mixing": "" if len(network["styles"]) > 1 else "hidden",
        "no_noise": "" if network["noiseWidths"] else "hidden",
        "use": html.escape(card["intended_use"]),
        "limits": html.escape(card["limits"]),
        "script": script,
        "script_hash": f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        "network": embedded(network),
    }
    return fill(PAGE / "index.html", filled)


def _style_box(name, start, stop):
    """A check box for a range of layers, with the resolutions at which they draw."""
    sizes = dict.fromkeys((f"{4 << start // 2}²", f"{4 << stop // 2 - 1}²"))
    remark = f"<small>{' to '.join(sizes)}</small>"
    return f'<label><input type="checkbox" value="{name}"><span>{name} {remark}</span></label>'


def facts(card):
    """What the page says of the network: pairs of name and text."""
    size, kimg = card["resolution"], card["kimg"]
    known = {
        "Pictures": f"{size}×{size} pixels",
        "Learned from": card["data_set"],
        "Shown while it learned": f"{kimg:,.0f} thousand images" if kimg else None,
        "Parameters": f"{card['parameters']:,}",
        "Converted from": card["source"],
        "Licence of the weights": card["licence"] or "not stated",
    }
    yield from ((name, str(value)) for name, value in known.items() if value)
    for row in card["metrics"]:
        yield row["name"], f"{row['value']:.4g} ({row['low']:.4g} to {row['high']:.4g}, of {row['n']:,} pictures)"
