import argparse
import os

import pytest

from stylegan_tf.console import argument_parser, friendly_errors, positive, quiet_tensorflow


def test_a_parser_shows_its_texts_as_they_are_written_and_takes_no_abbreviation(capsys):
    parser = argument_parser("Makes  it.", "Examples:\n  python  x.py", prog="x.py")
    parser.add_argument("--option")
    help = parser.format_help()
    assert help.startswith("usage: x.py ")
    assert "\nMakes  it.\n" in help
    assert help.endswith("\nExamples:\n  python  x.py\n")
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--opt", "1"])
    assert "unrecognized arguments: --opt" in capsys.readouterr().err


def test_positive_reads_whole_numbers_from_one():
    assert positive("12") == 12
    for text in ("-1", "0", "1.5", "x"):
        with pytest.raises(argparse.ArgumentTypeError, match="is no whole number from 1 on"):
            positive(text)


@pytest.mark.parametrize("error", [ValueError("--seeds 3: too few"), OSError("--seeds 3: too few")])
def test_what_a_user_causes_becomes_one_line(error):
    with pytest.raises(SystemExit) as caught, friendly_errors():
        raise error
    assert caught.value.code == "Error: --seeds 3: too few"  # Python prints it and exits with status 1


def test_ctrl_c_has_its_own_status(capsys):
    with pytest.raises(SystemExit) as caught, friendly_errors():
        raise KeyboardInterrupt
    assert caught.value.code == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), friendly_errors():
        print(1 / 0)


def test_quiet_is_over_at_the_end(monkeypatch, capfd):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")

    def failing_import():
        with quiet_tensorflow():
            os.write(2, b"chatter")
            raise ImportError

    with pytest.raises(ImportError):
        failing_import()
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"


def test_user_who_set_the_level_hears_everything(monkeypatch, capfd):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    with quiet_tensorflow():
        os.write(2, b"chatter")
    assert capfd.readouterr().err == "chatter"
