"""Training: optimizers, the training step, the loop over epochs, metrics.

Its modules are imported one by one: the settings of the command line need a few of them.
"""
