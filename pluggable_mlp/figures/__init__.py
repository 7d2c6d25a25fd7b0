"""Figures by matplotlib: training curves, confusion matrix, residuals and weights.

`displays.py` has display objects like scikit-learn's: `from_…` computes what is shown and plots it,
on `ax` or on the axes of a new figure, which `ax_` and `figure_` then hold.  `report.py` writes
figures of runs to files and pages.  matplotlib (extra `plot`) is imported when something is drawn.
"""

from pluggable_mlp.fields import require

require("sklearn", "plot", "comparing predictions")
