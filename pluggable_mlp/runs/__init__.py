"""Runs: trainings by a plan, and the folders of those from the command line.

`run.py` trains, also for the estimators for tables; `certificates.py` certifies it.  `folder.py`
writes; `checkpoints.py` saves the state of a run, and continues from it.  `saved.py` reads single
files; `predict.py` loads a whole run, predicts and measures.  `verify.py` checks a run bit by bit.
What is printed belongs in `cli`.
"""
