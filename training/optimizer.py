"""Adam as TensorFlow 1 defines it, with the original's rules around it."""

import tensorflow as tf


class Adam(tf.Module):
    """Adam in the "epsilon-hat" form, on TensorFlow's own kernel for it (one operation a variable).

    m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  x = x - rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon)

    An update with any non-finite gradient is skipped whole: moments and step count stay (section 10 of the reference).

    Args:
        variables: Keras variables to train, in the order in which `apply` receives their gradients.
        beta1, beta2, epsilon: As above.
    """

    def __init__(self, variables, beta1=0.0, beta2=0.99, epsilon=1e-8, name="adam"):
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

    def apply(self, gradients, rate):
        """Update the variables; returns 1.0 if a non-finite gradient prevented it, else 0.0."""
        # zero times a finite number is zero, times anything else NaN: one reduction a gradient finds all of them
        finite = tf.math.is_finite(tf.add_n([tf.reduce_sum(gradient * 0.0) for gradient in gradients]))
        tf.cond(finite, lambda: self._update(gradients, rate), lambda: None)
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
            power1.assign(power1 * self.beta1)
            power2.assign(power2 * self.beta2)

    def reset(self):
        """Forget moments and step count, as when a new level begins (trap 26)."""
        for name, slot in self.slots.items():
            slot.assign({"beta1_power": self.beta1, "beta2_power": self.beta2}.get(name, tf.zeros_like(slot)))
