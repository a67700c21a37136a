"""Adam as TensorFlow 1 defines it, with the original's rules around it."""

import tensorflow as tf

from training.replicas import assign_here

LOSS_SCALE_LOG2, LOSS_SCALE_RISE, LOSS_SCALE_FALL = 64.0, 0.0005, 1.0  # at first, after an update, after a skip


class Adam(tf.Module):
    """Adam in the "epsilon-hat" form, on TensorFlow's own kernel for it (one operation a variable).

    m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  x = x - rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon)

    An update with any non-finite gradient is skipped whole: moments and step count stay (section 10 of the reference).

    Dynamic loss scaling: the loss is multiplied by 2^s, so that small gradients survive float16, and the gradients by
    2^-s. s starts at 64, falls by 1 with every update that is skipped, and rises by 0.0005 with every other.

    Args:
        variables: Keras variables to train, in the order in which `apply` receives their gradients.
        beta1, beta2, epsilon: As above.
        loss_scaling: Whether to scale the loss.

    Attributes:
        slots: Name -> variable: moments, powers of the betas, and "loss_scale_log2", which is s.
    """

    def __init__(self, variables, beta1=0.0, beta2=0.99, epsilon=1e-8, loss_scaling=False, name="adam"):
        super().__init__(name)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.targets = {variable.path: variable.value for variable in variables}
        self.slots = {
            f"{slot}/{path}": tf.Variable(tf.zeros_like(target), trainable=False, name=slot)
            for slot in "mv"
            for path, target in self.targets.items()
        }
        self.slots["beta1_power"] = tf.Variable(beta1, trainable=False, dtype=tf.float32)
        self.slots["beta2_power"] = tf.Variable(beta2, trainable=False, dtype=tf.float32)
        self.loss_scaling, self.sums, self.parts = loss_scaling, None, None
        if loss_scaling:
            self.slots["loss_scale_log2"] = tf.Variable(LOSS_SCALE_LOG2, trainable=False, dtype=tf.float32)

    @property
    def loss_scale(self):
        """2^s; 1 without loss scaling."""
        return 2.0 ** self.slots["loss_scale_log2"] if self.loss_scaling else 1.0

    def prepare_parts(self):
        """Make room for the sums of `add_up`."""
        self.sums = [tf.Variable(tf.zeros(target.shape), trainable=False) for target in self.targets.values()]
        self.parts = tf.Variable(0.0, trainable=False)

    def add_up(self, gradients, begins):
        """Keep gradients of one part of a minibatch.

        Args:
            gradients: As for `apply`.
            begins: Whether this is the first part.

        Returns:
            The mean of those since the first part.
        """
        parts = 1.0 if begins else self.parts + 1.0
        assign_here(self.parts, parts)
        totals = (
            gradients if begins else [total + gradient for total, gradient in zip(self.sums, gradients, strict=True)]
        )
        for total, value in zip(self.sums, totals, strict=True):
            assign_here(total, value)
        return [total / parts for total in totals]

    def apply(self, gradients, rate):
        """Update the variables; returns 1.0 if a non-finite gradient prevented it, else 0.0.

        Gradients are those of the loss times `loss_scale`. With copies on several devices, all must receive the same.
        """
        if self.loss_scaling:
            gradients = [gradient / self.loss_scale for gradient in gradients]
        # zero times a finite number is zero, times anything else NaN: one reduction a gradient finds all of them
        finite = tf.math.is_finite(tf.add_n([tf.reduce_sum(gradient * 0.0) for gradient in gradients]))
        tf.cond(finite, lambda: self._update(gradients, rate), lambda: None)
        if self.loss_scaling:
            log2 = self.slots["loss_scale_log2"]
            assign_here(log2, log2 + tf.where(finite, LOSS_SCALE_RISE, -LOSS_SCALE_FALL))
        return 1.0 - tf.cast(finite, tf.float32)

    def _update(self, gradients, rate):
        power1, power2 = self.slots["beta1_power"], self.slots["beta2_power"]
        updates = []
        for (path, target), gradient in zip(self.targets.items(), gradients, strict=True):
            updates.append(
                tf.raw_ops.ResourceApplyAdam(
                    var=target.handle,
                    m=self.slots[f"m/{path}"].handle,
                    v=self.slots[f"v/{path}"].handle,
                    beta1_power=power1,
                    beta2_power=power2,
                    lr=rate,
                    beta1=self.beta1,
                    beta2=self.beta2,
                    epsilon=self.epsilon,
                    grad=gradient,
                )
            )
        with tf.control_dependencies([update for update in updates if update is not None]):
            assign_here(power1, power1 * self.beta1)
            assign_here(power2, power2 * self.beta2)

    def reset(self):
        """Forget moments and step count, as when a new level begins (trap 26); the loss scale stays."""
        powers = {"beta1_power": self.beta1, "beta2_power": self.beta2}
        for name, slot in self.slots.items():
            if name != "loss_scale_log2":
                slot.assign(powers.get(name, tf.zeros(slot.shape)))
