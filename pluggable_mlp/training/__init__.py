"""Training: optimizers, the training step, the loop over epochs, metrics.

Its modules are imported one by one, because the command line needs only a few of them.
"""
