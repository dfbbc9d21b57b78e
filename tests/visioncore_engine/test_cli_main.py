"""The command line as a whole: exit codes, where messages go, help, and commands that plugins add."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from visioncore_engine import __version__, errors
from visioncore_engine.cli import _COMMANDS, main, plugins


@pytest.fixture
def failing(monkeypatch):
    """Let `visioncore plugins` raise."""

    def failing(error):
        def run(_arguments):
            raise error

        monkeypatch.setattr(plugins, "run", run)

    return failing


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (errors.ConfigError("wrong"), 2, "config error: wrong"),
        (errors.PluginError("wrong"), 2, "plugin error: wrong"),
        (errors.DataError("wrong"), 2, "data error: wrong"),
        (errors.CheckpointError("wrong"), 2, "checkpoint error: wrong"),
        (errors.RunError("rank 1 is gone"), 70, "run failed: rank 1 is gone"),
        (errors.RunError("run failed: rank 1 is gone"), 70, "run failed: rank 1 is gone"),
        (errors.StorageError("disk full"), 74, "storage failed: disk full"),
        (PermissionError(13, "No", "a/b.csv"), 74, "storage failed: a/b.csv: cannot be read or written: No"),
        (errors.Stopped("by SIGTERM"), 143, "stopped: by SIGTERM"),
        (KeyboardInterrupt(), 143, "interrupted"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_raised_on_purpose_has_its_exit_code_and_no_traceback(failing, capsys, error, code, text):
    failing(error)
    assert main(["plugins"]) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == f"{text}\n"


def test_debug_shows_the_traceback(failing, capsys):
    failing(errors.ConfigError("wrong"))
    for arguments in (["plugins", "--debug"], ["--debug", "plugins"]):
        assert main(arguments) == 2
        told = capsys.readouterr().err
        assert "Traceback" in told
        assert told.endswith("config error: wrong\n")


def test_a_defect_shows_its_traceback_and_asks_to_be_reported(failing, capsys):
    failing(ZeroDivisionError("at last"))
    assert main(["plugins"]) == 1
    told = capsys.readouterr().err
    assert "ZeroDivisionError: at last" in told
    assert "please report these lines" in told


def test_a_reader_that_goes_away_is_no_error(failing, capsys):
    script = "import sys; from visioncore_engine.cli import main; sys.exit(main(['show', 'sampler']))"
    reader = f'"{sys.executable}" -c "{script}" | true; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", reader], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
    assert done.stderr == ""


def test_a_terminal_that_lacks_a_letter_ends_no_command():
    script = "from visioncore_engine.cli import main; main(['--version']); print('\\u2026')"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\\u2026\n")


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_has_help_with_an_example(capsys, name):
    assert main([name, "--help"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"usage: visioncore {name}")
    assert f"visioncore {name}" in told.partition("examples:")[2]


def test_the_overview_names_every_command_and_fits_the_terminal(capsys):
    for arguments in ([], ["--help"], ["-h"]):
        assert main(arguments) == 0
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for name in _COMMANDS)
    assert max(map(len, told.splitlines())) <= 80


def test_the_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"visioncore {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["chek"], "there is no command 'chek'; did you mean 'check'?"),
        (["check"], "the following arguments are required: RUN.yaml; see visioncore check --help"),
        (["plugins", "--jsn"], "unrecognized arguments: --jsn; see visioncore plugins --help"),
        (["plugins", "--js"], "unrecognized arguments: --js"),
        (["check", "run.yaml", "--set"], "argument --set: expected one argument"),
    ],
)
def test_mistakes_on_the_command_line(capsys, arguments, text):
    assert main(arguments) == 2
    assert f"usage error: {text}" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------------------
# Commands of plugins

COMMANDS = """
    from visioncore_engine import hookimpl
    from visioncore_engine.component import Command

    @hookimpl
    def visioncore_commands():
        yield Command(name="{name}", summary="a command of a plugin", build="{module}:build")

    def build(parser):
        parser.add_argument("word")
        parser.epilog = "examples:\\\\n  visioncore {name} hello"
        def handle(arguments):
            print("{module} says", arguments.word)
            return 7
        return handle
"""


def with_command(site, name, module, dist):
    site(dist, "1.0", {module: module}, **{module: COMMANDS.format(name=name, module=module)})


def test_a_plugin_adds_a_command(site, capsys):
    with_command(site, "greet", "greeting", "greeting-lab")
    assert main(["greet", "hello"]) == 7
    assert capsys.readouterr().out == "greeting says hello\n"
    assert main(["greet", "--help"]) == 0
    assert "visioncore greet hello" in capsys.readouterr().out
    assert main(["greet"]) == 2
    assert "the following arguments are required: word" in capsys.readouterr().err
    assert main([]) == 0
    assert "  greet " in capsys.readouterr().out
    assert main(["gret", "x"]) == 2
    assert "did you mean 'greet'?" in capsys.readouterr().err


def test_commands_of_one_name_are_told_apart_by_their_plugins(site, capsys):
    with_command(site, "greet", "one", "lab-one")
    with_command(site, "greet", "two", "lab-two")
    with_command(site, "check", "three", "lab-three")
    assert main(["greet", "x"]) == 2
    assert "one:greet" in capsys.readouterr().err
    assert main(["two:greet", "x"]) == 7
    assert main(["three:check", "x"]) == 7
    assert capsys.readouterr().out == "two says x\nthree says x\n"


def test_a_command_that_cannot_be_built_names_its_plugin(site, capsys):
    text = COMMANDS.format(name="greet", module="broken_greeting")
    site("lab", "1.0", {"lab": "broken_greeting"}, broken_greeting=text.replace("return handle", "return None"))
    assert main(["greet", "x"]) == 2
    assert "plugin lab (lab==1.0): the command 'greet' did not return its handler" in capsys.readouterr().err
