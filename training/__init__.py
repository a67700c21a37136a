"""Data, schedule and the training loop of StyleGAN v1."""
