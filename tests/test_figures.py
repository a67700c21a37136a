import numpy as np
import PIL.Image
import pytest

from stylegan_tf import figures
from stylegan_tf.curves import read_stats, training_curves
from stylegan_tf.figures import (
    GAP,
    images_from_seeds,
    latents_from_seeds,
    noise_from_seeds,
    style_mixing,
    style_ranges,
    truncation_sweep,
    uncurated_grid,
)
from stylegan_tf.images import enlarge, to_uint8


def cell(figure, row, column, rows, columns, size=96):
    """The cell of a table; cells are counted from the lower right corner, which titles do not move."""
    y = figure.shape[0] - (rows - row) * (size + GAP)
    x = figure.shape[1] - (columns - column) * (size + GAP)
    return figure[y : y + size, x : x + size]


def picture(generator, dlatents):
    return enlarge(to_uint8(generator.synthesis(dlatents, randomize_noise=False)), 6)[0]


def dlatents_of(generator, seed):
    latents = np.random.RandomState(seed).randn(1, generator.latent_size).astype(np.float32)
    return np.array(generator.mapping(latents, np.zeros([1, 3], np.float32)))


def test_latents_are_numpys():
    expected = np.concatenate([np.random.RandomState(seed).randn(1, 16) for seed in (5, 1000)])
    np.testing.assert_array_equal(latents_from_seeds([5, 1000], 16), expected.astype(np.float32))


def test_noise_has_two_images_a_resolution():
    assert [noise.shape for noise in noise_from_seeds([0, 1], 16)] == [
        (2, size, size, 1) for size in (4, 4, 8, 8, 16, 16)
    ]


@pytest.mark.parametrize("random_noise", [True, False])
def test_picture_of_a_seed_does_not_depend_on_its_batch(tiny_generator, random_noise):
    options = {"random_noise": random_noise, "labels": [0, 1, 0]}
    together = list(images_from_seeds(tiny_generator, [3, 4, 5], **options))
    alone = [next(images_from_seeds(tiny_generator, [seed], **options)) for seed in (3, 4, 5)]
    batched = list(images_from_seeds(tiny_generator, [3, 4, 5], batch_size=2, **options))
    assert together[0].shape == (16, 16, 3)
    for variant in (alone, batched):
        difference = np.abs(np.stack(together).astype(int) - np.stack(variant))
        assert difference.max() <= 1  # a batch of another size may round otherwise


def test_labels_psi_and_noise_reach_the_network(tiny_generator):
    options = [{}, {"labels": [1, 0, 0]}, {"psi": 0.2}, {"random_noise": False}, {"level": 1}]
    pictures = [next(images_from_seeds(tiny_generator, [0], **option)) for option in options]
    assert pictures[-1].shape == (8, 8, 3)
    for other in pictures[1:-1]:
        assert (other != pictures[0]).any()


def test_wrong_label_size_is_refused(tiny_generator):
    with pytest.raises(ValueError, match="3 label components, 2 were given"):
        next(images_from_seeds(tiny_generator, [0], labels=[0, 1]))


def test_uncurated_grid_is_the_pictures_side_by_side(tiny_generator):
    grid = uncurated_grid(tiny_generator, [7, 8, 9], columns=2, psi=1)
    assert grid.shape == (192, 192, 3)
    assert (grid[96:, 96:] == 255).all()
    second = next(images_from_seeds(tiny_generator, [8], psi=1))
    assert np.abs(grid[:96, 96:].astype(int) - enlarge(second, 6)).max() <= 1


def test_truncation_sweep_truncates_all_layers(tiny_generator):
    sweep = truncation_sweep(tiny_generator, [0, 1], psis=(1, 0.5, 0))
    average = np.asarray(tiny_generator.dlatent_avg)
    for row, seed in enumerate((0, 1)):
        for column, psi in enumerate((1, 0.5, 0)):
            dlatents = average + psi * (dlatents_of(tiny_generator, seed) - average)
            expected = picture(tiny_generator, dlatents.astype(np.float32)).astype(int)
            assert np.abs(cell(sweep, row, column, 2, 3) - expected).max() <= 1
    np.testing.assert_array_equal(cell(sweep, 0, 2, 2, 3), cell(sweep, 1, 2, 2, 3))


@pytest.mark.parametrize(
    ("num_layers", "ranges"),
    [
        (18, [(0, 4), (4, 8), (8, 18)]),  # 1024x1024, the paper's
        (12, [(0, 4), (4, 8), (8, 12)]),
        (10, [(0, 4), (4, 8), (8, 10)]),
        (8, [(0, 4), (4, 6), (6, 8)]),
        (6, [(0, 2), (2, 4), (4, 6)]),
        (4, [(0, 2), (2, 4)]),
    ],
)
def test_style_ranges(num_layers, ranges):
    assert [(layers.start, layers.stop) for layers in style_ranges(num_layers).values()] == ranges


def test_style_mixing_replaces_a_range_of_layers(tiny_generator):
    figure = style_mixing(tiny_generator, [1, 2], [3, 4, 5])
    rows = [range(2), range(2), range(2, 4)]  # with three rows: coarse, coarse, middle
    size = (4, 3)
    assert (cell(figure, 0, 0, *size) == 255).all()
    for column, source in enumerate((1, 2), start=1):
        expected = picture(tiny_generator, dlatents_of(tiny_generator, source)).astype(int)
        assert np.abs(cell(figure, 0, column, *size) - expected).max() <= 1
        for row, (seed, layers) in enumerate(zip((3, 4, 5), rows, strict=True), start=1):
            dlatents = dlatents_of(tiny_generator, seed)
            dlatents[:, layers] = dlatents_of(tiny_generator, source)[:, layers]
            difference = cell(figure, row, column, *size) - picture(tiny_generator, dlatents).astype(int)
            assert np.abs(difference).max() <= 1


def test_six_rows_of_style_mixing_are_the_papers():
    assert figures._shares(["coarse", "middle", "fine"], 6) == ["coarse"] * 3 + ["middle"] * 2 + ["fine"]


def test_half_grown_network_is_drawn_at_its_size(tiny_generator):
    growth = {"level": 1, "fade": 0.5}
    assert uncurated_grid(tiny_generator, [0, 1], **growth).shape == (96, 192, 3)
    assert cell(truncation_sweep(tiny_generator, [0], psis=(1,), **growth), 0, 0, 1, 1).shape == (96, 96, 3)
    style_mixing(tiny_generator, [0], [1, 2, 3], **growth)


def test_gray_and_styleless_generators():
    from stylegan_tf.generator import Generator

    options = {"resolution": 8, "fmap_max": 4, "latent_size": 4, "dlatent_size": 4, "mapping_layers": 0}
    gray = Generator(num_channels=1, **options)
    assert style_mixing(gray, [0], [1, 2]).shape[-1] == 3
    plain = Generator(use_styles=False, const_input_layer=False, **options)
    assert uncurated_grid(plain, [0]).shape == (96, 96, 3)
    with pytest.raises(ValueError, match="without styles"):
        style_mixing(plain, [0], [1])
    with pytest.raises(ValueError, match="not 2 channels"):
        uncurated_grid(Generator(num_channels=2, **options), [0])


ROWS = [
    {
        "kimg": 1.0,
        "level": 1,
        "fade": 0.0,
        "loss_g": 0.7,
        "loss_d": 1.4,
        "images_per_second": 60,
        "minutes": 1,
    },
    {"kimg": 2.0, "level": 1, "fade": 0.5, "loss_g": 0.8, "score_real": 0.1, "score_fake": -0.1},
    {"kimg": 3.0, "level": 0, "fade": 0.0, "loss_g": float("nan"), "loss_d": None},
]


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], [{"kimg": 1}, {"kimg": 2}], [{"kimg": 1, "loss_g": 2}, {}]])
def test_curves_are_drawn_from_whatever_there_is(tmp_path, rows):
    training_curves(rows, tmp_path / "curves.png", resolution=16)
    with PIL.Image.open(tmp_path / "curves.png") as image:
        assert image.size[0] > 500


def test_curves_of_nothing_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no statistics to draw"):
        training_curves([{"loss_g": 1}], tmp_path / "curves.png")


def test_torn_last_line_of_statistics_is_left_out(tmp_path):
    path = tmp_path / "stats.jsonl"
    path.write_text('{"kimg": 1}\n{"kimg": 2}\n{"kim')
    assert read_stats(path) == [{"kimg": 1}, {"kimg": 2}]
    path.write_text('{"kimg": 1}\nno json\n{"kimg": 2}\n')
    with pytest.raises(ValueError, match=r"stats.jsonl, line 2 is no JSON"):
        read_stats(path)
