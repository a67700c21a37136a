"""What the command lines share: a parser, errors as one line, TensorFlow without its chatter. Imports nothing heavy."""

import argparse
import contextlib
import os
import sys


def argument_parser(doc: str, examples: str, prog: str | None = None) -> argparse.ArgumentParser:
    """A parser that shows both texts as they are written, and takes no abbreviation of an option.

    Args:
        doc: What the program does; comes before the options.
        examples: Comes after them.
        prog: How the program is called; None for the name of the script.
    """
    return argparse.ArgumentParser(
        prog=prog,
        description=doc,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def positive(text: str) -> int:
    """Reads a whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


@contextlib.contextmanager
def friendly_errors():
    """Turns what a user can cause into one line and an exit status: 1 for an error, 130 for Ctrl-C.

    Catches ValueError and OSError, whose messages in this project name the file or the option and the remedy.
    Anything else is a bug and keeps its traceback.
    """
    try:
        yield
    except BrokenPipeError:  # of what reads our output, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, OSError) as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)


@contextlib.contextmanager
def quiet_tensorflow():
    """Around the first import of TensorFlow or Keras: keeps the remarks of its C++ side off the screen.

    Its log level alone does not silence them: some are printed before the level is read. So file descriptor 2
    leads nowhere for the moment. Exceptions pass. A user who has set TF_CPP_MIN_LOG_LEVEL sees everything.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
