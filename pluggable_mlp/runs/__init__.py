"""Runs: trainings by the command line, and the folders that they leave.

`run.py` trains, `folder.py` writes while it does, `saved.py` reads, `resume.py` goes on, `predict.py`
answers and measures; `certificate.py` and `verify.py` hold a run to its bits.  What is printed
belongs in `cli`.
"""
