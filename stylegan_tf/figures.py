"""Pictures of what a generator does: one function a figure, generator in, uint8 [H, W, 3] out.

Every function takes `level` and `fade`, so a network that is still growing is drawn at the size it has
reached (both are in the metadata of its snapshot), and `labels`: [label_size] for all, or [N, label_size];
None for zeros. Figures enlarge pictures below 96 pixels by a whole number. A seed means the same everywhere,
see `latents_from_seeds`.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from keras import ops as K

from stylegan_tf.generator import AS_BUILT
from stylegan_tf.images import enlarge, image_grid, to_uint8, viewing_factor
from stylegan_tf.xla import compiled

BATCH_SIZE = 8  # images; bounds the memory at 1024x1024
WORTH_COMPILING = 16 * 2**20  # pixels of all images; compiling takes seconds, which fewer would not win back
GAP = 4  # pixels between the cells of a table
_WHITE = PIL.Image.new("RGBA", (1, 1), "white")


def latents_from_seeds(seeds: Sequence[int], size: int) -> np.ndarray:
    """Latents [N, size]: for each seed the first `size` normals of NumPy's RandomState(seed), as in 2019."""
    return np.stack([np.random.RandomState(seed).randn(size) for seed in seeds]).astype(np.float32)


def noise_from_seeds(seeds: Sequence[int], resolution: int) -> list[np.ndarray]:
    """Noise images, [N, H, W, 1] for each of the two layers at 4, 8, ... `resolution` pixels.

    A seed's noise depends on nothing else, so a picture is the same in every batch and on every machine.
    """
    streams = [np.random.RandomState([seed, 1]) for seed in seeds]  # [seed, 1] is no stream of the latents
    sizes = [4 << index // 2 for index in range(2 * (resolution.bit_length() - 2))]
    return [np.stack([stream.randn(size, size, 1) for stream in streams]).astype(np.float32) for size in sizes]


def images_from_seeds(
    generator,
    seeds: Sequence[int],
    labels=None,
    psi: float | None = AS_BUILT,
    random_noise: bool = True,
    level: int = 0,
    fade: float = 0.0,
    batch_size: int = BATCH_SIZE,
) -> Iterator[np.ndarray]:
    """Yields one uint8 [H, W, C] a seed, in order; computes them in batches, so memory stays bounded.

    How many are asked for, and the size of a batch, decide how sums are rounded: a pixel may differ by one of 255.

    Args:
        generator: A `Generator`.
        seeds: Whole numbers from 0 to 2^32 - 1.
        labels: See above.
        psi: Truncation of the generator's first layers; by default as the generator was built; None for none.
        random_noise: Each seed has noise of its own; False for the noise stored in the network.
        level, fade: How far the network has grown.
        batch_size: Images computed at a time.
    """
    count, resolution = len(seeds), generator.resolution >> level
    labels = _labels(generator, labels, count)

    def generate(latents, labels, noise):
        options = dict(level=level, fade=fade, truncation_psi=psi, randomize_noise=False)
        return generator(latents, labels, noise=noise, **options)

    if count * resolution**2 >= WORTH_COMPILING:
        batch_size = math.ceil(count / math.ceil(count / batch_size))
        generate, padding = compiled(generate), -count % batch_size  # so that all batches have one size
        seeds, labels = [*seeds, *[seeds[-1]] * padding], np.pad(labels, [[0, padding], [0, 0]], mode="edge")
    for start in range(0, len(seeds), batch_size):
        part = slice(start, start + batch_size)
        images = generate(
            latents_from_seeds(seeds[part], generator.latent_size),
            labels[part],
            noise_from_seeds(seeds[part], resolution) if random_noise else None,
        )
        yield from to_uint8(K.convert_to_numpy(images))[: count - start]


def uncurated_grid(
    generator, seeds, columns=None, psi=0.7, labels=None, level=0, fade=0.0, random_noise=True
) -> np.ndarray:
    """The pictures of `seeds` in the order given, edge to edge: nothing was chosen (2019, figure 2)."""
    pictures = images_from_seeds(generator, seeds, labels, psi, random_noise, level, fade)
    return image_grid(np.stack([_for_viewing(picture) for picture in pictures]), columns, fill=255)


def truncation_sweep(generator, seeds, psis=(1, 0.7, 0.5, 0, -0.5, -1), labels=None, level=0, fade=0.0) -> np.ndarray:
    """The same latents, w moved towards its mean in all layers (2019, figure 8).

    A row shows one seed, a column one psi: 0 is the mean picture of the network, a negative psi gives the
    opposite of a picture. Stored noise.
    """
    dlatents = _dlatents(generator, seeds, labels)
    variants = [K.convert_to_numpy(generator.truncate(dlatents, psi, generator.num_layers)) for psi in psis]
    cells = _synthesize(generator, np.stack(variants, axis=1), level, fade)  # [seeds, psis, H, W, 3]
    return _table(cells, [f"psi = {psi:g}" for psi in psis], [f"seed {seed}" for seed in seeds])


def style_ranges(num_layers: int) -> dict[str, range]:
    """Layers that carry the coarse, middle and fine styles of a network with `num_layers` layers.

    From 64 pixels on the paper's: 4² and 8², 16² and 32², the rest. Smaller networks divide their resolutions
    as evenly as they can; one of 8x8 has no fine styles.
    """
    stages = num_layers // 2
    coarse = min(2, -(-stages // 3))
    middle = min(2, -(-(stages - coarse) // 2))
    bounds = [0, 2 * coarse, 2 * (coarse + middle), num_layers]
    ranges = {name: range(*bounds[i : i + 2]) for i, name in enumerate(("coarse", "middle", "fine"))}
    return {name: layers for name, layers in ranges.items() if layers}


def style_mixing(
    generator, source_seeds, destination_seeds, ranges=None, psi=1, labels=None, level=0, fade=0.0
) -> np.ndarray:
    """Pictures that take some styles from one latent and the rest from another (2019, figure 3).

    The top row shows the sources, the left column the destinations; a cell is the destination of its row,
    with one range of layers replaced by those of the source of its column. Stored noise.

    Args:
        generator: A `Generator` with styles.
        source_seeds, destination_seeds: Seeds of the columns and of the rows.
        ranges: Title -> layers; the first half of the rows takes the first range, half of the rest the next,
            and so on. None for `style_ranges`.
        psi: Truncation of all layers; the paper's figure has none, 1.
        labels: [label_size], for all.
        level, fade: How far the network has grown.

    Raises:
        ValueError: The generator has no styles to mix.
    """
    if generator.num_layers < 4:
        raise ValueError("this generator was built without styles (use_styles=False): nothing can be mixed")
    ranges = style_ranges(generator.num_layers - 2 * level) if ranges is None else ranges
    seeds = [*source_seeds, *destination_seeds]
    dlatents = generator.truncate(_dlatents(generator, seeds, labels), psi, generator.num_layers)
    sources, destinations = np.split(K.convert_to_numpy(dlatents), [len(source_seeds)])
    titles = _shares(list(ranges), len(destinations))
    mixed = np.repeat(destinations[:, None], len(sources), axis=1)  # [rows, columns, L, D]
    for row, title in enumerate(titles):
        mixed[row, :, ranges[title]] = sources[:, ranges[title]].swapaxes(0, 1)
    top = _synthesize(generator, sources, level, fade)
    left = _synthesize(generator, destinations, level, fade)
    cells = np.concatenate([left[:, None], _synthesize(generator, mixed, level, fade)], axis=1)
    corner = np.full_like(top[:1], 255)
    cells = np.concatenate([np.concatenate([corner, top])[None], cells])
    return _table(cells, row_titles=["", *(f"{title} from\nthe top row" for title in titles)])


def _shares(names, count):
    """`count` names in order, each taking half of what is left: 6 rows give 3, 2 and 1."""
    shares = []
    for index, name in enumerate(names):
        left = count - len(shares)
        shares += [name] * (left if index == len(names) - 1 else -(-left // 2))
    return shares


def _labels(generator, labels, count):
    labels = np.zeros([generator.label_size], np.float32) if labels is None else np.asarray(labels, np.float32)
    if labels.shape[-1] != generator.label_size:
        raise ValueError(f"the network has {generator.label_size} label components, {labels.shape[-1]} were given")
    return np.broadcast_to(labels, [count, generator.label_size])


def _dlatents(generator, seeds, labels):
    """w of each seed, untruncated: [N, L, D]."""
    latents = latents_from_seeds(seeds, generator.latent_size)
    return generator.mapping(latents, _labels(generator, labels, len(seeds)))


def _synthesize(generator, dlatents, level, fade):
    """Pictures for viewing of dlatents [..., L, D], with stored noise: [..., H, W, 3]."""
    flat = dlatents.reshape(-1, *dlatents.shape[-2:])
    pictures = []
    for start in range(0, len(flat), BATCH_SIZE):
        part = flat[start : start + BATCH_SIZE]
        images = generator.synthesis(part, level=level, fade=fade, randomize_noise=False)
        pictures += [_for_viewing(image) for image in to_uint8(K.convert_to_numpy(images))]
    return np.reshape(pictures, [*dlatents.shape[:-2], *pictures[0].shape])


def _for_viewing(image):
    """uint8 [H, W, C] as RGB, what is transparent on white, and large enough to look at."""
    if image.shape[-1] == 4:
        image = np.asarray(PIL.Image.alpha_composite(_WHITE.resize(image.shape[1::-1]), PIL.Image.fromarray(image)))
    if image.shape[-1] not in (1, 3, 4):
        raise ValueError(f"a figure shows gray, RGB or RGBA pictures, not {image.shape[-1]} channels")
    rgb = np.broadcast_to(image[..., :3], [*image.shape[:2], 3])
    return enlarge(rgb, viewing_factor(image.shape[0]))


def _table(cells, column_titles=None, row_titles=None):
    """Cells [rows, columns, H, W, 3] on white, with a thin gap between them and small titles beside them."""
    rows, columns, height, width, _ = cells.shape
    font = PIL.ImageFont.load_default(size=np.clip(height // 8, 13, 40))
    measure = PIL.ImageDraw.Draw(PIL.Image.new("RGB", (1, 1)))
    boxes = [measure.multiline_textbbox((0, 0), title, font=font) for title in row_titles or [""]]
    left = int(max(box[2] for box in boxes)) + 4 * GAP if row_titles else GAP
    top = int(2 * font.size) if column_titles else GAP
    size = (left + columns * (width + GAP), top + rows * (height + GAP))
    canvas = PIL.Image.new("RGB", size, "white")
    draw = PIL.ImageDraw.Draw(canvas)
    for column, title in enumerate(column_titles or []):
        draw.text((left + column * (width + GAP) + width // 2, top // 2), title, "black", font, anchor="mm")
    for row in range(rows):
        y = top + row * (height + GAP)
        if row_titles:
            middle = (left // 2, y + height // 2)
            draw.multiline_text(middle, row_titles[row], "black", font, anchor="mm", align="center")
        for column in range(columns):
            canvas.paste(PIL.Image.fromarray(cells[row, column]), (left + column * (width + GAP), y))
    return np.asarray(canvas)
