"""StyleGAN v1 (Karras et al. 2019) on TensorFlow 2 and Keras 3."""


def __getattr__(name):
    """Finds `load_official_pickle` when it is asked for: the package itself loads nothing, TensorFlow least of all."""
    if name == "load_official_pickle":
        return __import__(f"{__name__}.official_pickle", fromlist=[name]).load_official_pickle
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
