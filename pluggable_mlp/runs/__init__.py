"""Runs: trainings from the command line, and their folders.

`run.py` trains while `folder.py` writes; `checkpoints.py` saves the state from which `resume.py`
continues.  `saved.py` reads single files; `predict.py` loads a whole run, predicts and measures.
`verify.py` checks a run bit by bit.  What is printed belongs in `cli`.
"""

from pluggable_mlp.runs.predict import SavedRun, load_run

__all__ = ["SavedRun", "load_run"]
