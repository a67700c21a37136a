"""Loss functions: scores to one value a sample (Karras et al. 2019, appendix C).

A loss receives `score`, a function from images to scores [N, 1], not a network; so a test can give it a toy.
Images are at the current size. The penalties of the original differentiate by images of the full size, where the
squared norm is 4^level times smaller (trap 24); `level` restores that.
"""

import tensorflow as tf


def G_logistic_nonsaturating(score, fakes):
    """softplus(-S(x~)): [N, 1] (Goodfellow et al. 2014, the non-saturating form)."""
    return tf.math.softplus(-score(fakes))


def D_logistic_simplegp(score, reals, fakes, level, r1_gamma=10.0, r2_gamma=0.0):
    """Logistic loss with zero-centered penalties R1 on reals and R2 on fakes (Mescheder et al. 2018).

    softplus(S(x~)) + softplus(-S(x)) + gamma1 / 2 * |dS(x)/dx|^2 + gamma2 / 2 * |dS(x~)/dx~|^2

    Args:
        score: Images [N, H, W, C] to scores [N, 1].
        reals, fakes: Images at `level`.
        level: Integer level of detail.
        r1_gamma, r2_gamma: Strengths; 0 leaves a term out.

    Returns:
        Losses [N, 1] and a dict of scalars to log: mean scores and mean squared gradient norms.
    """
    real_scores, real_norms = _scores_and_squared_norms(score, reals, level, r1_gamma)
    fake_scores, fake_norms = _scores_and_squared_norms(score, fakes, level, r2_gamma)
    loss = tf.math.softplus(fake_scores) + tf.math.softplus(-real_scores)
    logs = {"score_real": tf.reduce_mean(real_scores), "score_fake": tf.reduce_mean(fake_scores)}
    if r1_gamma:
        loss += r1_gamma / 2 * real_norms
        logs["r1_penalty"] = tf.reduce_mean(real_norms)
    if r2_gamma:
        loss += r2_gamma / 2 * fake_norms
        logs["r2_penalty"] = tf.reduce_mean(fake_norms)
    return loss, logs


def _scores_and_squared_norms(score, images, level, wanted):
    """Scores [N, 1] and, from the same pass, squared gradient norms [N, 1] as images of the full size give them."""
    if not wanted:
        return score(images), None
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        scores = score(images)
        total = tf.reduce_sum(scores)
    gradient = tf.cast(tape.gradient(total, images), tf.float32)
    return scores, tf.reduce_sum(tf.square(gradient), axis=[1, 2, 3])[:, None] * 4.0**-level


G_LOSSES = {"G_logistic_nonsaturating": G_logistic_nonsaturating}
D_LOSSES = {"D_logistic_simplegp": D_logistic_simplegp}
