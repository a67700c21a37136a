"""Metric formulas at values that one can check by hand, or in ten lines of NumPy, and what they refuse."""

from itertools import pairwise

import numpy as np
import pytest

import metrics.kid
import metrics.neighbours
import metrics.statistics
from metrics.fid import frechet_distance
from metrics.images import crop_face, shrink
from metrics.kid import kernel_distance, squared_mmd
from metrics.linear_separability import (
    attribute_entropy,
    class_probabilities,
    conditional_entropy,
    entropy,
    joint_distribution,
    most_confident,
    mutual_information,
    separability_score,
    svm_predictions,
)
from metrics.ppl import (
    draw_positions,
    lerp,
    mean_path_length,
    normalize,
    path_distances,
    path_steps,
    prepare_images,
    slerp,
    without_outliers,
)
from metrics.precision_recall import precision_and_recall
from metrics.statistics import FeatureStatistics


@pytest.fixture
def random():
    return np.random.default_rng(0)


def statistics(*batches):
    result = FeatureStatistics()
    for batch in batches:
        result.add(batch)
    return result


def moments(features):
    return features.mean(axis=0), np.cov(features, rowvar=False)


# ---- statistics


@pytest.mark.parametrize("fold", [1, 4, 512])
def test_batches_of_any_size_give_numpys_mean_and_covariance(random, monkeypatch, fold):
    monkeypatch.setattr(metrics.statistics, "FOLD", fold)
    features = random.normal(size=(50, 4)) @ random.normal(size=(4, 4)) + 1e4
    result = statistics(*np.split(features, [1, 3, 3, 20]))
    assert result.count == 50
    np.testing.assert_allclose(result.mean, features.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(result.covariance, np.cov(features, rowvar=False), rtol=1e-9)


def test_statistics_merge_as_if_of_one_set(random):
    features = random.normal(size=(30, 3)).astype(np.float32)
    total = FeatureStatistics()
    parts = [statistics(features[:12]), FeatureStatistics(), statistics(features[12:])]
    for part in parts:
        total.merge(part)
    np.testing.assert_allclose(total.mean, features.mean(axis=0, dtype=np.float64), rtol=1e-13)
    np.testing.assert_allclose(total.covariance, np.cov(features, rowvar=False), rtol=1e-13)
    np.testing.assert_array_equal(parts[0].mean, statistics(features[:12]).mean)


def test_features_may_change_after_they_were_added():
    result, features = FeatureStatistics(), np.ones([2, 3])
    result.add(features)
    features[:] = 5
    np.testing.assert_array_equal(result.mean, [1, 1, 1])


def test_statistics_hold_no_more_than_one_fold_of_features():
    result = FeatureStatistics()
    for _ in range(100):
        result.add(np.zeros([8, 2]))
        assert sum(len(batch) for batch in result._waiting) < metrics.statistics.FOLD
    assert result.count == 800


def test_statistics_refuse_what_does_not_fit_and_keep_what_they_have():
    result = statistics([[1.0, 2.0], [3.0, 5.0]])
    for features, message in [
        (np.zeros(2), r"shape \[2\].*\[N, D\]"),
        (np.zeros([1, 3]), "3 components, those before had 2"),
        ([[np.nan, 0]], "NaN"),
    ]:
        with pytest.raises(ValueError, match=message):
            result.add(features)
    with pytest.raises(ValueError, match="3 components"):
        result.merge(statistics(np.zeros([2, 3])))
    assert result.count == 2
    np.testing.assert_array_equal(result.mean, [2, 3.5])
    np.testing.assert_array_equal(result.covariance, [[2, 3], [3, 4.5]])


def test_statistics_of_too_few_features_are_refused():
    with pytest.raises(ValueError, match="mean needs 1 or more features, got 0"):
        _ = FeatureStatistics().mean
    with pytest.raises(ValueError, match="covariance needs 2 or more features, got 1: add more images"):
        _ = statistics(np.zeros([1, 3])).covariance


# ---- Fréchet distance


def test_distance_of_gaussians_with_diagonal_covariance_is_that_of_means_and_deviations():
    """Σ (m_a - m_b)² + Σ (s_a - s_b)²: 9 + 16 + (1 - 2)² + (5 - 3)²."""
    distance = frechet_distance([0, 0], np.diag([1.0, 25.0]), [3, 4], np.diag([4.0, 9.0]))
    assert distance == pytest.approx(30, rel=1e-14)


def test_distance_of_a_set_to_itself_is_zero_and_to_its_shifted_self_the_squared_shift(random):
    mean, covariance = moments(random.normal(size=(200, 8)) @ random.normal(size=(8, 8)))
    assert frechet_distance(mean, covariance, mean, covariance) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(mean, covariance, mean + 2, covariance) == pytest.approx(4 * 8, rel=1e-13)


def test_distance_is_the_one_with_the_root_of_the_product(random):
    a, b = (moments(random.normal(size=(300, 10)) @ random.normal(size=(10, 10))) for _ in range(2))
    eigenvalues = np.linalg.eigvals(a[1] @ b[1])
    expected = np.square(a[0] - b[0]).sum() + np.trace(a[1] + b[1]) - 2 * np.sqrt(eigenvalues).real.sum()
    assert frechet_distance(*a, *b) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(*b, *a) == pytest.approx(expected, rel=1e-12)


def test_distance_of_fewer_images_than_components_is_exact(random):
    """The singular values of A^½ B^½ are those of the product of the centred features, which needs no root."""
    a, b = random.normal(size=(20, 100)), random.normal(size=(30, 100)) * 2
    product = (a - a.mean(axis=0)) @ (b - b.mean(axis=0)).T / np.sqrt(19 * 29)
    root_trace = np.linalg.svd(product, compute_uv=False).sum()
    (mean_a, covariance_a), (mean_b, covariance_b) = moments(a), moments(b)
    expected = np.square(mean_a - mean_b).sum() + np.trace(covariance_a + covariance_b) - 2 * root_trace
    assert frechet_distance(mean_a, covariance_a, mean_b, covariance_b) == pytest.approx(expected, rel=1e-13)


def test_distance_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"mean \[2\] and covariance \[3, 3\]"):
        frechet_distance(np.zeros(2), np.eye(3), np.zeros(2), np.eye(2))
    with pytest.raises(ValueError, match=r"2 and of 3 components.*one feature network"):
        frechet_distance(np.zeros(2), np.eye(2), np.zeros(3), np.eye(3))
    with pytest.raises(ValueError, match="NaN"):
        frechet_distance(np.zeros(2), np.eye(2), [np.nan, 0], np.eye(2))


# ---- kernel distance


def naive_mmd(a, b):
    def kernel(x, y):
        return (np.dot(x, y) / len(x) + 1) ** 3

    within = [np.mean([kernel(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j]) for s in (a, b)]
    return sum(within) - 2 * np.mean([kernel(x, y) for x in a for y in b])


def test_squared_mmd_by_hand():
    """D = 1, k(x, y) = (xy + 1)³: k(0, 1) = 1 within a, k(1, 2) = 27 within b, 1, 1, 8, 27 across."""
    assert squared_mmd([[0.0], [1.0]], [[1.0], [2.0]]) == pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4)


@pytest.mark.parametrize("chunk", [1, 20, 10000])
def test_squared_mmd_in_chunks_is_that_of_all_pairs(random, monkeypatch, chunk):
    monkeypatch.setattr(metrics.kid, "CHUNK", chunk)
    a, b = random.normal(size=(7, 5)), random.normal(size=(9, 5)) + 0.3
    assert squared_mmd(a, b) == pytest.approx(naive_mmd(a, b), rel=1e-12)


def test_kernel_distance_of_sets_no_larger_than_a_subset_is_that_of_the_sets(random):
    a, b = random.normal(size=(12, 5)), random.normal(size=(12, 5)) + 1
    mean, deviation = kernel_distance(a, b, num_subsets=3)
    assert mean == pytest.approx(squared_mmd(a, b), rel=1e-12)
    assert deviation == pytest.approx(0, abs=1e-12)


def test_kernel_distance_is_unbiased_and_its_seed_decides_it(random):
    a, b = random.normal(size=(2, 4000, 4))
    mean, deviation = kernel_distance(a, b, num_subsets=50, max_subset_size=100)
    assert abs(mean) < 3 * deviation / np.sqrt(40)  # subsets of one set overlap: 40 of 50 are as good as independent
    assert kernel_distance(a, b, 2, 100, seed=1) == kernel_distance(a, b, 2, 100, seed=1)
    assert kernel_distance(a, b, 2, 100, seed=1) != kernel_distance(a, b, 2, 100, seed=2)


def test_kernel_distance_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"shape \[1, 2\].*2 images or more"):
        squared_mmd(np.zeros([1, 2]), np.zeros([2, 2]))
    with pytest.raises(ValueError, match="2 and of 3 components"):
        kernel_distance(np.zeros([2, 2]), np.zeros([2, 3]))
    with pytest.raises(ValueError, match="0 subsets of 1000"):
        kernel_distance(np.zeros([2, 2]), np.zeros([2, 2]), num_subsets=0)
    with pytest.raises(ValueError, match="NaN"):
        squared_mmd(np.full([2, 2], np.nan), np.zeros([2, 2]))


# ---- precision and recall


def test_precision_and_recall_by_hand():
    """k = 1, on a line: the reals' balls cover [-1, 3], the fakes' [-1, 2] and [16, 28]."""
    reals = [[0.0], [1.0], [2.0], [2.5]]
    fakes = [[0.0], [1.0], [20.0], [24.0]]
    assert precision_and_recall(reals, fakes, k=1) == (2 / 4, 3 / 4)


@pytest.mark.parametrize("chunk", [1, 50, 10000])
def test_precision_and_recall_in_chunks_are_those_of_all_pairs(random, monkeypatch, chunk):
    monkeypatch.setattr(metrics.neighbours, "CHUNK", chunk)
    reals, fakes = random.normal(size=(40, 3)) + 100, random.normal(size=(30, 3)) * 0.5 + 100.5

    def share(points, centres):
        radii = np.sort(np.linalg.norm(centres[:, None] - centres[None], axis=-1), axis=1)[:, 3]
        return np.mean(np.any(np.linalg.norm(points[:, None] - centres[None], axis=-1) <= radii, axis=1))

    precision, recall = precision_and_recall(reals, fakes)
    assert (precision, recall) == (share(fakes, reals), share(reals, fakes))
    assert precision > recall


def test_precision_and_recall_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match=r"fakes have shape \[3, 2\].*more than k = 3"):
        precision_and_recall(np.zeros([9, 2]), np.zeros([3, 2]))
    with pytest.raises(ValueError, match="reals of 2 and fakes of 1 components"):
        precision_and_recall(np.zeros([9, 2]), np.zeros([9, 1]))
    with pytest.raises(ValueError, match="k is 0"):
        precision_and_recall(np.zeros([9, 2]), np.zeros([9, 2]), k=0)
    with pytest.raises(ValueError, match="reals contain NaN"):
        precision_and_recall(np.full([9, 2], np.nan), np.zeros([9, 2]))


# ---- images


def test_face_window_of_1024_pixels_is_that_of_the_original():
    rows, columns = np.meshgrid(np.arange(1024), np.arange(1024), indexing="ij")
    face = crop_face(np.stack([rows, columns], axis=-1)[np.newaxis])
    assert face.shape == (1, 512, 512, 2)
    assert face[0, 0, 0].tolist() == [384, 256]
    assert face[0, -1, -1].tolist() == [895, 767]


def test_larger_images_are_box_averaged_and_others_left_alone():
    images = np.arange(16.0).reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(shrink(images, 2)[0, ..., 0], [[2.5, 4.5], [10.5, 12.5]])
    np.testing.assert_array_equal(shrink(images, 4), images)
    np.testing.assert_array_equal(shrink(images, 3), images)  # 4 div 3 = 1
    assert shrink(np.zeros([1, 1024, 1024, 1])).shape == (1, 256, 256, 1)


def test_images_that_cannot_be_cropped_or_averaged_are_refused():
    for images in (np.zeros([1, 16, 8, 3]), np.zeros([1, 4, 4, 3])):
        with pytest.raises(ValueError, match="square, of 8 or more pixels"):
            crop_face(images)
    with pytest.raises(ValueError, match=r"\[N, H, W, C\]"):
        shrink(np.zeros([16, 16, 3]))
    with pytest.raises(ValueError, match="2 by 2"):
        shrink(np.zeros([1, 5, 5, 3]), 2)


# ---- perceptual path length


def test_lines_and_arcs_by_hand():
    a, b = np.array([[2.0, 0.0]]), np.array([[0.0, 5.0]])
    np.testing.assert_allclose(normalize(b), [[0, 1]])
    np.testing.assert_allclose(lerp(a, b, 0.25), [[1.5, 1.25]])
    for t, expected in [(0, [1, 0]), (1 / 3, [3**0.5 / 2, 0.5]), (1, [0, 1])]:
        np.testing.assert_allclose(slerp(a, b, t), [expected], atol=1e-15)


def test_an_arc_is_run_through_at_constant_speed(random):
    a, b = random.normal(size=(2, 3, 512))
    points = [slerp(a, b, t) for t in (0, 0.3, 0.6, 0.9)]
    angles = [np.arccos(np.sum(x * y, axis=-1)) for x, y in pairwise(points)]
    np.testing.assert_allclose(angles[1:], [angles[0]] * 2, rtol=1e-9)


def test_steps_stay_interleaved_and_in_the_precision_of_the_points(random):
    points = random.normal(size=(6, 2, 4)).astype(np.float32)
    positions = np.array([0.0, 0.5, 0.75])
    steps = path_steps(points, positions, lerp, np.float64(0.25))
    assert steps.dtype == np.float32
    np.testing.assert_array_equal(steps[0], points[0])
    np.testing.assert_allclose(steps[2], (points[2] + points[3]) / 2, rtol=1e-6)
    np.testing.assert_allclose(steps[5], points[5], atol=1e-6)


def test_positions_cover_the_path_or_stay_at_its_start(random):
    positions = draw_positions(1000, "full", random)
    assert positions.dtype == np.float32
    assert 0 <= positions.min() < 0.01 < 0.99 < positions.max() < 1
    np.testing.assert_array_equal(draw_positions(3, "end", random), [0, 0, 0])
    with pytest.raises(ValueError, match="sampling is 'start': choose one of full, end"):
        draw_positions(3, "start", random)


def test_images_reach_the_distance_cropped_and_from_0_to_255():
    images = np.full([1, 16, 16, 3], 1.2)
    images[:, 6:14, 4:12] = [-1.0, 0.0, 1.1]
    prepared = prepare_images(images)
    assert prepared.shape == (1, 8, 8, 3)
    np.testing.assert_allclose(prepared[0, 0, 0], [0, 127.5, 267.75], rtol=1e-6)
    np.testing.assert_array_equal(prepared, np.broadcast_to(prepared[:, :1, :1], prepared.shape))


@pytest.mark.parametrize("sampling", ["full", "end"])
def test_length_of_a_straight_path_in_w_is_the_squared_distance_of_its_ends(random, sampling):
    """Images that are w itself: d = Σ (127.5 ε (b - a))²."""
    latents = random.normal(size=(8, 3))
    pictures = dict(
        mapping=lambda z: z[:, np.newaxis], synthesis=lambda w: np.broadcast_to(w[:, :, None], (8, 8, 8, 3))
    )
    distances = path_distances(
        latents,
        draw_positions(4, sampling, random),
        space="w",
        distance=lambda a, b: np.square(a - b).mean(axis=(1, 2)).sum(axis=1),
        epsilon=0.01,
        **pictures,
    )
    expected = np.square(127.5 * (latents[1::2] - latents[0::2])).sum(axis=1)
    np.testing.assert_allclose(distances, expected, rtol=1e-3)  # images are float32, 1 / ε² = 1e4


def test_path_length_refuses_what_does_not_fit():
    latents, positions = np.ones([4, 3]), np.zeros(2)
    network = dict(mapping=lambda z: z, synthesis=lambda w: np.zeros([4, 8, 8, 3]))
    with pytest.raises(ValueError, match="space is 'x': choose one of z, w"):
        path_distances(latents, positions, space="x", distance=None, **network)
    with pytest.raises(ValueError, match=r"shape \[\], one number a pair"):
        path_distances(latents, positions, space="w", distance=lambda a, b: np.mean(a - b), **network)
    with pytest.raises(ValueError, match=r"points \[4, 3\] and positions \[3\]"):
        path_steps(latents, np.zeros(3), lerp)


def test_outliers_are_what_lies_beyond_the_distances_next_to_the_percentiles():
    distances = np.arange(200.0)[::-1]  # percentiles 1.99 and 197.01: next distances 1 and 198
    np.testing.assert_array_equal(without_outliers(distances), np.arange(198.0, 0, -1))
    assert mean_path_length(distances) == 99.5
    assert mean_path_length([7.0]) == 7
    with pytest.raises(ValueError, match="n > 0"):
        mean_path_length([])
    with pytest.raises(ValueError, match="NaN"):
        mean_path_length([1.0, np.nan])


# ---- linear separability


@pytest.mark.parametrize(
    ("joint", "joint_entropy", "information", "open_question"),
    [
        ([[0.5, 0.0], [0.0, 0.5]], 1, 1, 0),  # X tells Y
        ([[0.0, 0.5], [0.5, 0.0]], 1, 1, 0),  # its opposite does as well
        ([[0.25, 0.25], [0.25, 0.25]], 2, 0, 1),  # X tells nothing
        ([[0.5, 0.5], [0.0, 0.0]], 1, 0, 1),
        ([[0.5, 0.0], [0.25, 0.25]], 1.5, 1.5 - 0.75 * np.log2(3), 0.5),  # X = 0 tells Y, X = 1 nothing
        ([[1.0, 0.0], [0.0, 0.0]], 0, 0, 0),
    ],
)
def test_entropies_by_hand(joint, joint_entropy, information, open_question):
    assert entropy(joint) == pytest.approx(joint_entropy, abs=1e-15)
    assert mutual_information(joint) == pytest.approx(information, abs=1e-15)
    assert conditional_entropy(joint) == pytest.approx(open_question, abs=1e-15)


def test_positive_logits_are_class_zero_and_large_ones_do_not_overflow():
    probabilities = class_probabilities([0, np.log(3) / 2, -np.log(3) / 2, 1e4, -1e4])
    expected = [[0.5, 0.5], [0.75, 0.25], [0.25, 0.75], [1, 0], [0, 1]]
    np.testing.assert_allclose(probabilities, expected, rtol=1e-6)
    assert probabilities.dtype == np.float32


def test_the_most_confident_come_first_and_ties_keep_their_order():
    probabilities = class_probabilities([1, -50, 2, 40, -3, 9])
    assert most_confident(probabilities, 5).tolist() == [1, 3, 5, 4, 2]
    for num_keep in (0, 7):
        with pytest.raises(ValueError, match=f"{num_keep} most confident of 6 samples"):
            most_confident(probabilities, num_keep)


def test_joint_distribution_counts_predictions_down_and_targets_across():
    np.testing.assert_array_equal(joint_distribution([0, 0, 1, 0], [0, 1, 1, 1]), [[0.25, 0.5], [0, 0.25]])
    for predictions, targets in [([0], [0, 1]), ([], []), ([[0]], [[0]])]:
        with pytest.raises(ValueError, match="do not fit"):
            joint_distribution(predictions, targets)
    with pytest.raises(ValueError, match="0 or 1"):
        joint_distribution([2], [0])


def test_predictions_are_those_of_the_squared_hinge_optimum(random):
    """|w|²/2 + Σ max(0, 1 - y w·x)², by Newton steps on the points inside the margin; x carries a 1 for the bias."""
    points = random.normal(size=(200, 5))
    targets = (points[:, 0] + 0.5 * points[:, 1] + 0.3 + random.normal(size=200) > 0).astype(int)
    x, y = np.column_stack([points, np.ones(200)]), 2 * targets - 1
    weights = np.zeros(6)
    for _ in range(30):
        margin = x[y * (x @ weights) < 1], y[y * (x @ weights) < 1]
        weights = np.linalg.solve(np.eye(6) + 2 * margin[0].T @ margin[0], 2 * margin[0].T @ margin[1])
    predictions = svm_predictions(points, targets)
    np.testing.assert_array_equal(predictions, x @ weights > 0)
    assert 0.1 < np.mean(predictions != targets) < 0.3


def test_a_single_class_is_predicted_perfectly():
    np.testing.assert_array_equal(svm_predictions(np.zeros([3, 2]), np.ones(3, int)), [1, 1, 1])


def test_score_is_one_where_a_plane_separates_and_two_an_attribute_where_nothing_does(random):
    points = random.normal(size=(400, 4))
    separable = 5 * points[:, 0]
    assert separability_score(points, separable[:, None], 200) == 1
    checkerboard = 5 * np.sign(points[:, 0] * points[:, 1]) * np.abs(points[:, 2])
    assert separability_score(points, np.stack([checkerboard] * 3, axis=1), 400) == pytest.approx(8, abs=0.4)
    constant = np.abs(points[:, 0])
    assert attribute_entropy(points, constant, 400) == 0


def test_only_the_most_confident_samples_are_judged():
    points, logits = np.array([[1.0], [2.0], [3.0], [4.0]]), np.array([0.1, -2.0, 3.0, 0.2])
    seen = []

    def predict(points, targets):
        seen.append((points.tolist(), targets.tolist()))
        return targets

    assert attribute_entropy(points, logits, 2, predict) == 0
    assert seen == [([[3.0], [2.0]], [0, 1])]


def test_separability_refuses_what_does_not_fit():
    points = np.zeros([4, 2])
    with pytest.raises(ValueError, match=r"points \[4, 2\] and logits \[3\]"):
        attribute_entropy(points, np.zeros(3), 2)
    with pytest.raises(ValueError, match="NaN"):
        attribute_entropy(points, np.full(4, np.nan), 2)
    with pytest.raises(ValueError, match=r"logits have shape \[4\]"):
        separability_score(points, np.zeros(4), 2)
    with pytest.raises(ValueError, match="5 most confident of 4 samples"):
        separability_score(points, np.zeros([4, 1]), 5)
