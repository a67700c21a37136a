"""StyleGAN v1 (Karras et al. 2019) on TensorFlow 2 and Keras 3."""
