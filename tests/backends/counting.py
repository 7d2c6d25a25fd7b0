"""A traced function that tells how often it ran as Python code."""

from functools import partial


def traced(kind, function, xp=None):
    """The function, traced by a class as one of the namespace xp, which it does not see."""
    return kind(partial(lambda _, *arguments: function(*arguments), xp))


def counted(kind, function, xp=None):
    """The function traced by a class, and a list with an item for each of its runs."""
    runs = []

    def counting(*arguments):
        runs.append(len(runs))
        return function(*arguments)

    return traced(kind, counting, xp), runs
