"""Figures by matplotlib: training curves, confusion matrix, residuals and weights.

`displays.py` has those for Python, as scikit-learn has its own: `from_…` computes what is shown and
plots it, on `ax` or on the axes of a new figure; `ax_` and `figure_` hold what was drawn on.
`report.py` has the files and pages of a run's figures.  matplotlib (extra `plot`) is imported when
something is drawn.
"""
