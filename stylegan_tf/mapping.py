"""The mapping network: what a latent becomes before it styles a picture (G_mapping)."""

import keras
from keras import ops as K

from stylegan_tf import ops
from stylegan_tf.initial import normal
from stylegan_tf.layers import EqualizedDense, base_config
from stylegan_tf.network import Network, options_of


@keras.saving.register_keras_serializable("stylegan_tf")
class LabelEmbedding(keras.layers.Layer):
    """Linear embedding of class labels, appended to the latents: no equalized scaling, no bias (trap 19).

    Shapes:
        latents [N, Z], labels [N, classes]; output [N, 2 Z]; `weight` [classes, Z], standard normal.
    """

    def __init__(self, latent_size, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.latent_size = latent_size

    def build(self, labels_shape):
        shape = [labels_shape[-1], self.latent_size]
        self.weight = self.add_weight(name="weight", shape=shape, initializer=normal(1.0))

    def call(self, labels, latents):
        embedding = K.matmul(K.cast(labels, self.compute_dtype), K.cast(self.weight, self.compute_dtype))
        return K.concatenate([latents, embedding], axis=-1)

    def get_config(self):
        return {**base_config(self), "latent_size": self.latent_size}


@keras.saving.register_keras_serializable("stylegan_tf")
class MappingNetwork(Network):
    """f: Z to W, a normalisation and a deep stack of dense layers (G_mapping).

    Args:
        latent_size: Size of z.
        label_size: Number of classes, 0 for none.
        dlatent_size: Size of w.
        dlatent_broadcast: Number of copies of w; None for one without an axis of its own.
        mapping_layers: Number of dense layers; with 0, w is the normalised z.
        mapping_fmaps: Width of the hidden layers.
        mapping_lrmul: Learning rate of all layers, biases included, relative to the synthesis network's.
        mapping_nonlinearity: "lrelu" or "relu"; follows the last layer as well.
        use_wscale: Equalized learning rate.
        normalize_latents: Pixel norm on z and the label embedding together.
        dtype: "float32", "bfloat16" or "float16" for the computation.

    Shapes:
        latents [N, latent_size], labels [N, label_size]; output [N, dlatent_size] or
        [N, dlatent_broadcast, dlatent_size], float32.
    """

    def __init__(
        self,
        latent_size=512,
        label_size=0,
        dlatent_size=512,
        dlatent_broadcast=None,
        mapping_layers=8,
        mapping_fmaps=512,
        mapping_lrmul=0.01,
        mapping_nonlinearity="lrelu",
        use_wscale=True,
        normalize_latents=True,
        name="G_mapping",
        dtype="float32",
    ):
        super().__init__(options_of(locals()), name, dtype)
        self.latent_size = latent_size
        self.label_size = label_size
        self.dlatent_broadcast = dlatent_broadcast
        self.normalize_latents = normalize_latents
        if mapping_layers == 0 and dlatent_size != latent_size * (2 if label_size else 1):
            raise ValueError(f"without mapping layers w is the normalised z: dlatent_size {dlatent_size} does not fit")
        self.widths = [mapping_fmaps] * (mapping_layers - 1) + [dlatent_size] if mapping_layers else []
        self.dense_options = dict(equalized_lr=use_wscale, lr_multiplier=mapping_lrmul, activation=mapping_nonlinearity)
        self.build()

    def build(self, input_shape=None):
        if self.label_size:
            self.embed = self.add_layer(
                LabelEmbedding, self.latent_size, shape=[None, self.label_size], name="LabelConcat"
            )
        size = self.latent_size * (2 if self.label_size else 1)
        self.dense = []
        for index, width in enumerate(self.widths):
            self.dense.append(
                self.add_layer(EqualizedDense, width, shape=[None, size], name=f"Dense{index}", **self.dense_options)
            )
            size = width

    def call(self, latents, labels=None):
        x = K.cast(latents, self.compute_dtype)
        if self.label_size:
            x = self.embed(K.zeros([K.shape(x)[0], self.label_size]) if labels is None else labels, x)
        if self.normalize_latents:
            x = ops.pixel_norm(x)
        for layer in self.dense:
            x = layer(x)
        x = K.cast(x, "float32")
        return x if self.dlatent_broadcast is None else K.tile(x[:, None], [1, self.dlatent_broadcast, 1])
