"""Runs: trainings by the command line, and the folders that they leave.

`run.py` trains, `folder.py` writes meanwhile, within what `locking.py` holds, and `checkpoints.py`
what it takes to go on, as `resume.py` does.  `saved.py` reads what is there, `predict.py` answers
and measures, by `scores.py`.  `certificate.py` and `verify.py` hold a run to its bits.  What is
printed belongs in `cli`.
"""
