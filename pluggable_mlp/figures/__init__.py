"""Figures in Python: training curves, confusion matrix, residuals and weights, by matplotlib.

They follow the displays of scikit-learn: `from_…` computes what is shown and plots it, on `ax` or
on the axes of a new figure; `ax_` and `figure_` hold what was drawn on.  matplotlib (extra `plot`)
is imported when something is drawn.  Files and pages of a run's figures are for `report.py`.
"""

from pluggable_mlp.figures.displays import (
    ConfusionMatrixDisplay,
    PredictionErrorDisplay,
    TrainingCurveDisplay,
    WeightsDisplay,
)

__all__ = [
    "ConfusionMatrixDisplay",
    "PredictionErrorDisplay",
    "TrainingCurveDisplay",
    "WeightsDisplay",
]
