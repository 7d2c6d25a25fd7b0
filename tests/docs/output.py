"""What pages show as the output of their code, compared with what the code prints."""

import re


def tokens(text):
    """The words and numbers of a text, without brackets, commas and times."""
    text = re.sub(r"in [\d.]+ s \([\d,]+ examples/s", "", text)
    return re.findall(r"\d+\.?\d*|[^\s\d()[\],]+", text)


def agrees(shown, printed):
    """Whether a printed number rounds to the shown one, or the words are equal.

    A BLAS may round differently, beyond the digits that are shown.
    """
    if not (shown[0].isdecimal() and printed[0].isdecimal()):
        return shown == printed
    decimals = len(shown.partition(".")[2])
    return abs(float(printed) - float(shown)) <= 0.500001 * 10.0**-decimals


def shows(shown, printed):
    """Whether shown lines, which may be broken elsewhere, are among the printed ones."""
    part, whole = tokens(shown.removeprefix("about ")), tokens(printed)
    ends = range(len(part), len(whole) + 1)
    return any(all(map(agrees, part, whole[end - len(part) : end])) for end in ends)
