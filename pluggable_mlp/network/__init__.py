"""The network: layers, activations, losses, initializers, each forward beside its backward.

Its modules are imported one by one: the help of the command line needs a few of them.
"""
