"""The network: layers, activations, losses, initializers, each forward beside its backward.

Its modules are imported one by one, because the command line's help needs only a few of them.
"""
