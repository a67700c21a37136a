"""The report: neighbours as by brute force, verdicts that can be wrong, and a page that asks nobody for anything."""

import html.parser
import re
import types

import keras
import numpy as np
import pytest
import record_data
from conftest import TINY, fill_weights

from metrics import neighbours, report_sections
from metrics.diagnosis import Samples, diagnose, evenly, feature_rows
from metrics.features import FeatureNetwork
from metrics.gathering import Subject
from metrics.precision_recall import precision_and_recall
from metrics.reals import RealData
from metrics.report import write_report
from metrics.report_plots import curves, histogram
from stylegan_tf.figures import images_from_seeds
from stylegan_tf.generator import Generator
from stylegan_tf.progan import ProGANGenerator
from stylegan_tf.progress_line import ProgressLine

WIDTH, IMAGES, SAMPLES = 24, 40, 12


def normals(count, width=5, seed=0):
    return np.random.RandomState(seed).randn(count, width)


def brute(points, pool):
    """All distances [N, M]."""
    return np.sqrt(((points[:, None] - pool[None]) ** 2).sum(axis=-1))


@pytest.fixture(scope="module")
def features():
    """A feature network that looks at 4x4 pixels at a time."""
    images = keras.Input((None, None, 3), dtype="float32")
    x = keras.layers.Conv2D(WIDTH, 4, strides=4, activation="relu", kernel_initializer="zeros")(images)
    model = keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))
    random = np.random.RandomState(0)
    model.set_weights([random.randn(4, 4, 3, WIDTH) / 100, random.randn(WIDTH)])
    return FeatureNetwork("stub<i>", model, WIDTH, "0123456789abcdef")


@pytest.fixture(scope="module")
def generator():
    network = Generator(**TINY)
    fill_weights(network)
    return network


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data set of noise, with three classes whose names no browser should take for elements."""
    labels = np.eye(3, dtype=np.float32)[np.arange(IMAGES) % 3]
    description = {"label_names": ["<b>one</b>", "two", "three"]}
    directory = tmp_path_factory.mktemp("data") / "set"
    return RealData(record_data.write(directory, record_data.noise(IMAGES, 16), labels, description=description))


def subject_of(generator, **options):
    return Subject("runs/<script>alert(1)</script>", generator, **options)


# ---------------------------------------------------------------------------------------------------------------------
# Neighbours


@pytest.mark.parametrize("chunk", [3, 2048])
def test_nearest_neighbours_are_those_of_all_distances(monkeypatch, chunk):
    monkeypatch.setattr(neighbours, "CHUNK", chunk)
    points, pool = normals(7) + 100, normals(20, seed=1) + 100
    distances, numbers = neighbours.nearest(points, pool, 4)
    expected = brute(points, pool)
    np.testing.assert_array_equal(numbers, np.argsort(expected, axis=1)[:, :4])
    np.testing.assert_allclose(distances, np.sort(expected, axis=1)[:, :4], rtol=1e-9)


@pytest.mark.parametrize("chunk", [3, 2048])
def test_nobody_is_his_own_neighbour_and_twins_are(monkeypatch, chunk):
    monkeypatch.setattr(neighbours, "CHUNK", chunk)
    pool = normals(11)
    pool[7] = pool[2]
    distances, numbers = neighbours.nearest(pool[[2, 5]], pool, 1, np.array([2, 5]))
    assert numbers[0] == 7
    assert distances[0] == pytest.approx(0, abs=1e-6)
    assert numbers[1] != 5
    expected = np.sort(brute(pool, pool), axis=1)
    np.testing.assert_allclose(neighbours.radii(pool, 2), expected[:, 2], rtol=1e-9, atol=1e-7)


def test_realism_is_equation_3_without_the_wider_half():
    pool = np.array([[0.0], [1.0], [2.0], [4.0], [104.0]])
    reach = neighbours.radii(pool, 1)
    assert reach.tolist() == pytest.approx([1, 1, 1, 2, 100])  # median 1: the last two do not count
    found = neighbours.realism(np.array([[0.5], [4.0], [12.0], [1.0]]), pool, reach)
    assert found.tolist() == pytest.approx([2, 0.5, 0.1, np.inf])


def test_density_and_coverage_are_the_papers_and_agree_with_precision():
    fakes, pool, k = normals(30, 3), normals(25, 3, seed=1) * 1.5, 3
    reach = neighbours.radii(pool, k)
    density, covered = neighbours.density_and_coverage(fakes, pool, reach, k)
    inside = brute(fakes, pool) <= reach
    np.testing.assert_allclose(density, inside.sum(axis=1) / k)
    np.testing.assert_array_equal(covered, inside.any(axis=0))
    assert (density > 0).mean() == precision_and_recall(pool, fakes, k)[0]


def test_features_that_cannot_be_compared_are_refused():
    with pytest.raises(ValueError, match=r"\[2, 5\] and \[9, 4\] do not fit"):
        neighbours.nearest(normals(2), normals(9, 4))
    with pytest.raises(ValueError, match="3 real images are too few for 3 neighbours"):
        neighbours.nearest(normals(2), normals(3), 3)
    broken = normals(9)
    broken[8, 0] = np.nan
    for points, pool in ((broken, normals(9)), (normals(9), broken)):
        with pytest.raises(ValueError, match="NaN or infinity"):
            neighbours.nearest(points, pool)


# ---------------------------------------------------------------------------------------------------------------------
# Numbers


def test_a_sample_is_the_picture_of_its_seed(generator, data):
    samples = Samples(subject_of(generator), data, SAMPLES, 5, 4)
    assert samples.labels.shape == (SAMPLES, 3)
    assert samples.labels.sum(axis=1).tolist() == [1.0] * SAMPLES
    (expected,) = images_from_seeds(generator, [8], samples.labels[3:4], psi=0.5)
    (picture,) = samples.pictures([3], 0.5)
    np.testing.assert_array_equal(picture, expected)


def test_a_growing_network_is_enlarged(generator, data):
    samples = Samples(subject_of(generator, level=1, fade=0.25), data, 4, 0, 4)
    (picture,) = samples.pictures([2])
    assert picture.shape == (16, 16, 3)
    np.testing.assert_array_equal(picture[::2, ::2].repeat(2, axis=0).repeat(2, axis=1), picture)


def copies(data, numbers):
    """Stands where `Samples` does: a generator that knows some real images by heart."""

    def pictures(wanted, psi=None):
        return iter(data.level.read([numbers[number] for number in wanted]))

    return types.SimpleNamespace(pictures=pictures, count=len(numbers), batch_size=4, can_truncate=False, first=0)


def test_a_generator_that_copies_is_found_out(features, data):
    found = diagnose(copies(data, list(range(5, 25))), data, features, None, [])
    assert found.numbers[:, 0].tolist() == list(range(5, 25))
    assert found.close_share == 1
    assert found.distance_ratio == pytest.approx(0, abs=1e-3)
    assert np.isinf(found.realism).any()
    assert found.untruncated["precision"] == 1
    assert found.curve == []
    assert report_sections.verdict(found.close_share, found.distance_ratio).startswith("It is memorising")


def test_other_pictures_of_the_same_kind_are_no_copies(features, data, tmp_path):
    others = RealData(record_data.write(tmp_path / "others", record_data.noise(IMAGES, 16, seed=9)))
    found = diagnose(copies(others, list(range(IMAGES))), data, features, None, [])
    assert found.close_share < 0.2
    assert 0.7 < found.distance_ratio < 1.5
    assert report_sections.verdict(0.01, found.distance_ratio).startswith("No sign of memorising")


def test_twins_among_the_real_images_do_not_hide_copies(features, data, tmp_path):
    images = data.level.read(range(IMAGES))
    twice = RealData(record_data.write(tmp_path / "twice", np.concatenate([images, images[:8]])))
    samples = copies(data, list(range(20, 40)))
    found = diagnose(samples, twice, features, None, [])
    assert found.is_twin.sum() == 16
    assert found.close > 0.01
    assert found.close_share == 1
    assert "33.3 % of the real images: they occur twice" in report_sections.neighbours(samples, twice, found)


def test_verdict_says_some_where_some_are_close():
    assert report_sections.verdict(0.2, 0.9).startswith("Some samples are suspiciously close")
    assert report_sections.verdict(0.0, 0.4).startswith("It is memorising")


def test_given_features_are_those_that_would_be_computed(features, data, generator):
    rows = feature_rows(features.model, WIDTH, iter(data.level.read(range(IMAGES))), IMAGES, 7, "test")
    np.testing.assert_allclose(rows, features.model(data.level.read(range(IMAGES)).astype("f4")), rtol=1e-5)
    samples = Samples(subject_of(generator), data, SAMPLES, 0, 8)
    given = diagnose(samples, data, features, rows, [0.5])
    computed = diagnose(samples, data, features, None, [0.5, 1])
    np.testing.assert_array_equal(given.numbers, computed.numbers)
    assert [row["psi"] for row in given.curve] == [0.5, 1.0]
    assert given.curve[1]["distance"] == pytest.approx(computed.untruncated["distance"], rel=1e-4)
    assert given.curve[0]["distance"] != given.curve[1]["distance"]


def test_features_that_are_not_finite_are_refused(features, data):
    with pytest.raises(ValueError, match="reals: features contain NaN"):
        feature_rows(lambda images: features.model(images) * np.inf, WIDTH, data.level.read([0]), 1, 4, "reals")


def test_evenly_keeps_both_ends():
    assert evenly(np.arange(11), 3).tolist() == [0, 5, 10]
    assert evenly(np.arange(3), 5).tolist() == [0, 1, 2]


# ---------------------------------------------------------------------------------------------------------------------
# Progress


def test_progress_has_the_rate_of_this_call_and_comes_every_ten_seconds(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr("stylegan_tf.progress_line.time.monotonic", lambda: now[0])
    line = ProgressLine("Samples", 1000, done=400)
    for seconds, count in ((5, 450), (10, 500), (15, 550), (20, 600)):
        now[0] = 100.0 + seconds
        line.show(count)
    line.clear()
    assert capsys.readouterr().out.splitlines() == [
        "Samples: 500 of 1,000 images, 10 a second, 50s left",
        "Samples: 600 of 1,000 images, 10 a second, 40s left",
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Plots


def test_histogram_draws_the_share_of_each_bin():
    figure = histogram("alt", "x", {"a": [0, 0, 0, 40]})
    heights = [
        float(y) for y in re.search(r'class="area0" d="([^"]*)"', figure)[1].replace("L", " ").split()[3::2][:-1]
    ]
    base = max(heights)
    shares = [(base - y) / (base - min(heights)) for y in heights]
    assert shares[0] == 1
    assert shares[-1] == pytest.approx(1 / 3, abs=0.01)
    assert sum(share > 0 for share in shares) <= 4  # each bin is drawn by two points


def test_plots_of_one_value_and_of_zeros_have_numbers_only():
    for figure in (
        histogram("alt", "x", {"a": [3.0]}, {"mark": 3.0}),
        histogram("alt", "x", {"a": [1e-6, 1e3], "b": [1.0]}, logarithmic=True),
        curves("alt", "x", [1.0], {"a": [0.0]}),
        curves("alt", "x", [0.3, 1.0], {"a": [5.0, 2.0], "b": [1.0, 4.0]}),
    ):
        assert "nan" not in figure
        assert "inf" not in figure


# ---------------------------------------------------------------------------------------------------------------------
# The page


class Page(html.parser.HTMLParser):
    """What a browser would see: elements with their attributes, and whether all are closed."""

    VOID = ("meta", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in (*self.VOID, "line", "path", "circle"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.words.append(text)

    def all(self, tag):
        return [attributes for other, attributes in self.elements if other == tag]


RESULTS = [
    {"name": "fd_stub<u>", "value": 12.5, "low": 12.25, "high": 12.75, "images": 1000},
    {"name": "plain", "value": 3},
]
OPTIONS = {"num_images": SAMPLES, "psis": (0.5,), "results": RESULTS, "path_lengths": [1.0, 20.0, 300.0, 0.0]}


@pytest.fixture(scope="module")
def text(tmp_path_factory, generator, data, features):
    directory = tmp_path_factory.mktemp("report") / "new" / "one"
    subject = subject_of(generator, kimg=1234.5)
    path = write_report(directory, subject, data, features, **OPTIONS, path_network="lpips<s>")
    assert path == directory / "report.html"
    assert [file.name for file in directory.iterdir()] == ["report.html"]
    return path.read_text(encoding="utf-8")


def test_page_has_every_section_and_number(text):
    page = Page(text)
    assert page.open == []
    titles = [page.words[i] for i, word in enumerate(page.words) if word.startswith(("Is it mem", "Truncation ag"))]
    assert titles == ["Is it memorising?", "Truncation against quality"] * 2  # in the contents and above the section
    links = [attributes["href"] for attributes in page.all("a")]
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert links == ["#results", "#samples", "#classes", "#memory", "#truncation", "#best", "#paths"]
    assert {link[1:] for link in links} <= ids
    for words in ("fd_stub<u>", "12.5000", "12.25 – 12.75", "1,234.5 kimg", "set: 40 images, 3 labels"):
        assert words in "".join(page.words)
    assert len(page.all("svg")) == 5


def test_page_asks_nobody_and_runs_nothing(text):
    page = Page(text)
    assert {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object", "form"} == set()
    assert not re.search(r"https?://|url\(|@import|\son\w+=", text)
    assert all(re.match(r"data:image/(png|jpeg);base64,", attributes["src"]) for attributes in page.all("img"))
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy


def test_what_comes_from_files_is_text_and_no_markup(text):
    page = Page(text)
    assert "runs/<script>alert(1)</script>" in "".join(page.words)
    assert "<b>one</b>" in "".join(page.words)
    assert {tag for tag, _ in page.elements} & {"b", "u", "s"} == set()
    assert all(not attributes for attributes in page.all("i") if "class" not in attributes)
    assert "{{" not in text


def test_every_picture_and_plot_is_described(text):
    page = Page(text)
    assert all(attributes["alt"] for attributes in page.all("img"))
    assert all(attributes["aria-label"] and attributes["role"] == "img" for attributes in page.all("svg"))
    assert all(
        attributes.get("tabindex") == "0" for attributes in page.all("div") if attributes.get("class") == "scroll"
    )


def test_the_same_seed_gives_the_same_page(text, tmp_path, generator, data, features):
    subject = subject_of(generator, kimg=1234.5)
    again = write_report(tmp_path, subject, data, features, **OPTIONS, path_network="lpips<s>")
    assert again.read_text(encoding="utf-8") == text
    other = write_report(tmp_path, subject, data, features, **OPTIONS, path_network="lpips<s>", seed=50)
    assert "seed 50" in other.read_text(encoding="utf-8")


def test_a_progressive_gan_has_a_page_without_truncation(tmp_path, data, features):
    network = ProGANGenerator(resolution=16, fmap_max=8, latent_size=8)
    fill_weights(network)
    text = write_report(tmp_path, Subject("progan", network), data, features, num_images=4).read_text(encoding="utf-8")
    page = Page(text)
    assert [a["href"] for a in page.all("a")] == ["#samples", "#memory", "#best"]


def test_network_and_data_set_that_do_not_match_are_refused(tmp_path, generator, features):
    other = RealData(record_data.write(tmp_path / "set", record_data.noise(9, 8)))
    with pytest.raises(ValueError, match=r"16x16 pixels.* holds images of 8x8"):
        write_report(tmp_path / "page", subject_of(generator), other, features)
    assert not (tmp_path / "page").exists()


def test_a_broken_network_and_too_few_images_are_refused(tmp_path, generator, data, features):
    network = Generator(**TINY)
    for variable in network.synthesis.trainable_variables:
        variable.assign(np.full(variable.shape, np.nan))
    with pytest.raises(ValueError, match=r"alert\(1\).*: its images hold NaN or infinity; use an earlier snapshot"):
        write_report(tmp_path / "page", subject_of(network), data, features)
    with pytest.raises(ValueError, match="a report of 3 images says nothing; take 4 or more"):
        write_report(tmp_path / "page", subject_of(generator), data, features, num_images=3)
    assert not (tmp_path / "page").exists()
