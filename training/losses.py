"""Loss functions: scores to one value a sample (section 9 of the reference).

A loss receives `score`, a function from images to scores [N, 1], not a network; so a test can give it a toy. All
discriminator losses are called alike: (score, reals, fakes, level, mixing_factors, and options by name).

    score            images [N, H, W, C] to scores [N, 1]; an attribute `scale` of it, the loss scale of float16
                     training, is what gradients by images are multiplied with while they are computed
    reals, fakes     images at `level`, [N, H, W, C]
    level            integer level of detail
    mixing_factors   [N, 1, 1, 1] in [0, 1): how far from the real to the generated image a "_gp" penalty looks

They return terms, functions without arguments to (values [N, 1], dict of scalars to log: means of scores, of gradient
norms, of penalties without their strength). The loss is the sum of the terms, see `total`; each passes the
discriminator on its own, so that a trainer can differentiate one after the other and need memory for one at a time.
(The original adds scores [N, 1] to penalties [N], which makes [N, N] of the same mean: trap 37.)

The penalties of the original differentiate by images of the full size, where a gradient's norm is 2^level times smaller
than at the current size (trap 24); `level` restores that. "gp" is for gradient penalty.
"""

import tensorflow as tf

from stylegan_tf.ops import lerp


def total(terms):
    """Sum of terms: losses [N, 1] and logs."""
    results = [term() for term in terms]
    return tf.add_n([values for values, _ in results]), {key: log[key] for _, log in results for key in log}


def G_wgan(score, fakes):
    """-S(x~): [N, 1] (Arjovsky et al. 2017)."""
    return -score(fakes)


def G_logistic_saturating(score, fakes):
    """-softplus(S(x~)): [N, 1] (Goodfellow et al. 2014, the minimax form)."""
    return -tf.math.softplus(score(fakes))


def G_logistic_nonsaturating(score, fakes):
    """softplus(-S(x~)): [N, 1] (Goodfellow et al. 2014, the non-saturating form)."""
    return tf.math.softplus(-score(fakes))


def D_wgan(score, reals, fakes, level, mixing_factors, wgan_epsilon=0.001):
    """S(x~) - S(x) + epsilon S(x)^2 (Arjovsky et al. 2017); epsilon keeps scores from drifting (Karras et al. 2018,
    A.1)."""

    def of_reals():
        scores = score(reals)
        drift = tf.square(scores)
        return wgan_epsilon * drift - scores, real_logs(scores) | {"epsilon_penalty": tf.reduce_mean(drift)}

    def of_fakes():
        scores = score(fakes)
        return scores, fake_logs(scores)

    return [of_fakes, of_reals]


def D_wgan_gp(score, reals, fakes, level, mixing_factors, wgan_lambda=10.0, wgan_epsilon=0.001, wgan_target=1.0):
    """D_wgan with a gradient penalty (Gulrajani et al. 2017); options of `gradient_penalty`."""
    terms = D_wgan(score, reals, fakes, level, mixing_factors, wgan_epsilon)
    return [*terms, lambda: gradient_penalty(score, reals, fakes, level, mixing_factors, wgan_lambda, wgan_target)]


def D_hinge(score, reals, fakes, level, mixing_factors):
    """max(0, 1 + S(x~)) + max(0, 1 - S(x)) (Miyato et al. 2018); goes with G_wgan."""

    def of_reals():
        scores = score(reals)
        return tf.nn.relu(1 - scores), real_logs(scores)

    def of_fakes():
        scores = score(fakes)
        return tf.nn.relu(1 + scores), fake_logs(scores)

    return [of_fakes, of_reals]


def D_hinge_gp(score, reals, fakes, level, mixing_factors, wgan_lambda=10.0, wgan_target=1.0):
    """D_hinge with a gradient penalty; options of `gradient_penalty`."""
    terms = D_hinge(score, reals, fakes, level, mixing_factors)
    return [*terms, lambda: gradient_penalty(score, reals, fakes, level, mixing_factors, wgan_lambda, wgan_target)]


def D_logistic(score, reals, fakes, level, mixing_factors):
    """softplus(S(x~)) + softplus(-S(x)) (Goodfellow et al. 2014)."""
    return D_logistic_simplegp(score, reals, fakes, level, mixing_factors, r1_gamma=0.0, r2_gamma=0.0)


def D_logistic_simplegp(score, reals, fakes, level, mixing_factors, r1_gamma=10.0, r2_gamma=0.0):
    """D_logistic with zero-centered penalties, R1 on reals and R2 on fakes (Mescheder et al. 2018).

    softplus(S(x~)) + softplus(-S(x)) + gamma1 / 2 * |dS(x)/dx|^2 + gamma2 / 2 * |dS(x~)/dx~|^2

    Args:
        score, reals, fakes, level, mixing_factors: As above.
        r1_gamma, r2_gamma: Strengths; 0 leaves a penalty out.

    Returns:
        Terms.
    """

    def term(images, sign, gamma, logs, penalty):
        scores, norms = scores_and_squared_norms(score, images, level, gamma)
        values, logged = tf.math.softplus(sign * scores), logs(scores)
        if gamma:
            values += gamma / 2 * norms
            logged[penalty] = tf.reduce_mean(norms)
        return values, logged

    return [
        lambda: term(fakes, 1, r2_gamma, fake_logs, "r2_penalty"),
        lambda: term(reals, -1, r1_gamma, real_logs, "r1_penalty"),
    ]


def gradient_penalty(score, reals, fakes, level, mixing_factors, wgan_lambda, wgan_target):
    """lambda / target^2 (|dS(x^)/dx^| - target)^2 at mixed images x^ = lerp(x, x~, u) (Gulrajani et al. 2017).

    Where a gradient is exactly zero the penalty is finite, but its own gradient is not, since the root's slope is
    infinite there; as in the original, which has no epsilon under the root either. The optimizer then skips the update.

    Args:
        score, reals, fakes, level, mixing_factors: As above.
        wgan_lambda: Strength.
        wgan_target: Norm at which the penalty is zero; greater than 0.

    Returns:
        Penalties [N, 1] and logs.
    """
    scores, squared_norms = scores_and_squared_norms(score, lerp(reals, fakes, mixing_factors), level)
    norms = tf.sqrt(squared_norms)
    logs = {"score_mixed": tf.reduce_mean(scores), "mixed_norms": tf.reduce_mean(norms)}
    return wgan_lambda / wgan_target**2 * tf.square(norms - wgan_target), logs


def scores_and_squared_norms(score, images, level, wanted=True):
    """Scores [N, 1] and, from the same pass, squared gradient norms [N, 1] as images of the full size give them."""
    if not wanted:
        return score(images), None
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        scores = score(images)
        scale = getattr(score, "scale", 1.0)
        scaled = tf.reduce_sum(scores) * scale
    gradient = tf.cast(tape.gradient(scaled, images), tf.float32) / scale
    return scores, tf.reduce_sum(tf.square(gradient), axis=[1, 2, 3])[:, None] * 4.0**-level


def real_logs(scores):
    """What every discriminator loss logs of real images."""
    logs = {"score_real": tf.reduce_mean(scores)}
    return logs | {"r_t": tf.reduce_mean(tf.sign(scores))}  # 1 for a discriminator that overfits, see `augment`


def fake_logs(scores):
    """What every discriminator loss logs of generated images."""
    return {"score_fake": tf.reduce_mean(scores)}


G_LOSSES = {loss.__name__: loss for loss in (G_wgan, G_logistic_saturating, G_logistic_nonsaturating)}
D_LOSSES = {loss.__name__: loss for loss in (D_wgan, D_wgan_gp, D_hinge, D_hinge_gp, D_logistic, D_logistic_simplegp)}
