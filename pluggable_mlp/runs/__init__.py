"""Runs: trainings by the command line, and the folders that they leave.

`run.py` trains, `folder.py` writes meanwhile, and `checkpoints.py` what it takes to go on, as
`resume.py` does.  `saved.py` reads the files that are there, `predict.py` a whole run, with its
predictions, and measures them.  `certificate.py` and `verify.py` hold a run to its
bits.  What is printed belongs in `cli`.
"""

from pluggable_mlp.runs.predict import SavedRun, load_run

__all__ = ["SavedRun", "load_run"]
