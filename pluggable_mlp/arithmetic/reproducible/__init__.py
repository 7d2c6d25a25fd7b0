"""The reproducible arithmetic: the same bits on every array library."""
