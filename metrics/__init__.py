"""How good a generator is: formulas on feature vectors, latents and images, in NumPy.

Nothing here knows a network, a file or a command line: who calls hands over arrays and callables.
"""
