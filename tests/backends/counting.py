"""A traced function that tells how often it ran as Python code."""


def counted(kind, function):
    """The function traced by a class, and a list with an item for each of its runs."""
    runs = []

    def counting(*arguments):
        runs.append(len(runs))
        return function(*arguments)

    return kind(counting), runs
