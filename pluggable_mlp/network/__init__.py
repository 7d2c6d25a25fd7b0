"""The network: layers, activations, losses, initializers, each forward beside its backward."""
