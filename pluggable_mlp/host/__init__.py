"""What the host computes and holds, with the same bits on every machine.

Random numbers, elementary functions of Python numbers, and rows of arrays larger than memory.
"""
