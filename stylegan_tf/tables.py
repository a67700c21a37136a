"""The layers of a network as a table, as the original's `print_layers`."""

import contextlib
import math

import keras

from stylegan_tf.discriminator import Discriminator
from stylegan_tf.generator import Generator
from stylegan_tf.mapping import MappingNetwork
from stylegan_tf.progan import ProGANGenerator


def layer_table(network):
    """One line a layer: original scope, trainable parameters, output shape, shape of its main weight; then the total.

    A convolution and what follows it, noise strength, bias and style, are one layer, as they are one scope in the
    original. Output shapes are what the layers return while the network is traced without computing anything.

    Args:
        network: A Generator, SynthesisNetwork, MappingNetwork, Discriminator, or one of their kin in `progan`.

    Returns:
        The table, lines without trailing spaces.
    """
    scopes = _scopes(network)
    shapes = _output_shapes(network, scopes)
    rows = [[network.name, "parameters", "output", "weight"], ["---"] * 4]
    for scope, variables in scopes.items():
        name = scope.removeprefix(f"{network.path}/")
        rows.append([name, _count(variables), _bracket(["N", *shapes[scope][1:]]), _bracket(variables[0].shape)])
    rows += [["---"] * 4, ["Total", _count(network.trainable_variables), "", ""]]
    name, parameters, output, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(f"{a:{name}}  {b:>{parameters}}  {c:{output}}  {d}".rstrip() for a, b, c, d in rows)


def _scopes(network):
    """{path of a layer: its trainable variables}, the main weight first; inner scopes count as the outer one."""
    scopes = {}
    for variable in network.trainable_variables:
        scope = variable.path.rpartition("/")[0]
        outer = next((known for known in scopes if scope.startswith(f"{known}/")), scope)
        scopes.setdefault(outer, []).append(variable)
    return scopes


def _output_shapes(network, scopes):
    """{path: shape of what the last layer of that path returns}, for all of `scopes`."""
    shapes = {}
    with contextlib.ExitStack() as stack:
        for layer in network._flatten_layers(include_self=False):
            if layer.path in scopes:
                stack.enter_context(_recorded(layer, shapes))
        level = 0
        while shapes.keys() != scopes.keys():
            _trace(network, level)
            level += 2  # fading, a level runs its RGB layer and that of the next
    return shapes


@contextlib.contextmanager
def _recorded(layer, shapes):
    """While active, calls of `layer` note the shape of their output under its path."""
    call = layer.call

    def recording_call(*args, **kwargs):
        output = call(*args, **kwargs)
        shapes[layer.path] = tuple(output.shape)
        return output

    vars(layer)["call"] = recording_call
    try:
        yield
    finally:
        del vars(layer)["call"]


def _trace(network, level):
    """Run the network on shapes alone, at `level` and fading if it grows."""
    if isinstance(network, MappingNetwork):
        return network.compute_output_spec(keras.KerasTensor([1, network.latent_size]))
    growth = {"level": level, "fade": 0.5}
    if isinstance(network, Discriminator):
        size = network.resolution >> level
        return network.compute_output_spec(keras.KerasTensor([1, size, size, network.num_channels]), **growth)
    if isinstance(network, Generator | ProGANGenerator):
        inputs = [1, network.latent_size]
    else:
        inputs = [1, network.num_layers, network.dlatent_size]
    return network.compute_output_spec(keras.KerasTensor(inputs), randomize_noise=False, **growth)


def _count(variables):
    return f"{sum(math.prod(variable.shape) for variable in variables):,}"


def _bracket(shape):
    return f"[{', '.join(map(str, shape))}]"
