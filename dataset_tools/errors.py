"""What can be wrong with a picture, a folder or an archive."""


class DatasetError(ValueError):
    """A picture or folder that no data set can be made of; the message names it, what was found and the remedy."""


class Unsuitable(DatasetError):
    """A picture that a command leaves out by design, for instance because it is too narrow; counted, never fatal."""


def printable(name):
    r"""A name of a file as one line of text: line breaks, control characters and broken Unicode as \n, \x1b, \udcff."""
    text = str(name)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
