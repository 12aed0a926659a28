"""The ``vidprep`` command: a group whose commands are imported when they are asked for."""

from __future__ import annotations

import logging
import sys
import traceback
from importlib import import_module
from typing import Any

import click

from .. import __version__
from ..pipeline.errors import UsageError, VidprepError
from ..pipeline.option_names import options_named
from .entry import EXIT_INTERRUPTED, raise_when_interrupted
from .entry import main as run

EXIT_TROUBLE = 1
EXIT_USAGE = 2

# In the order of a first session. The help is here so that `vidprep --help` imports none of them.
_COMMANDS = {
    "extract": "Turn videos into a cache of motion modalities.",
    "info": "Say what is in a cache.",
    "verify": "Check every byte of a cache, and repair it.",
    "preview": "Look at a cache: a picture, a film or a page.",
    "index": "Merge finished shards into one index.",
    "bench": "Measure what this machine does with a cache.",
    "doctor": "Say what this machine can do, and what to install.",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f".{cmd_name}", __package__).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what goes wrong in it becomes one line and an exit status."""
        try:
            with options_named(_as_typed):
                return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise  # main() and click know what to do
        except Exception as error:
            message, status = str(error), EXIT_TROUBLE
            if isinstance(error, UsageError):
                status = EXIT_USAGE
            elif not isinstance(error, VidprepError):
                again = f"vidprep --debug {ctx.invoked_subcommand}"
                message = f"unexpected {type(error).__name__} ({error}); {again} ... says where"
            if ctx.params["debug"]:
                traceback.print_exc()
        except KeyboardInterrupt:
            message, status = "interrupted", EXIT_INTERRUPTED
        _say(message)
        sys.exit(status)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the program and exit; a mistake on the command line becomes one line too, not click's four."""
        try:
            sys.exit(super().main(*args, **{**extra, "standalone_mode": False}))
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(EXIT_USAGE)
        except click.ClickException as error:
            path = getattr(error.ctx, "command_path", "vidprep") if isinstance(error, click.UsageError) else "vidprep"
            _say(f"{error.format_message().rstrip('.')}{_dash_hint(error)}; see {path} --help")
            sys.exit(error.exit_code)
        except click.Abort:
            _say("interrupted")
            sys.exit(EXIT_INTERRUPTED)


def _as_typed(name: str) -> str | None:
    """Return the option of the running command whose value is called ``name`` in Python; ``None`` if it has none."""
    options = (option for option in click.get_current_context().command.params if isinstance(option, click.Option))
    return next((option.opts[0] for option in options if option.name == name), None)


def _dash_hint(error: click.ClickException) -> str:
    """How to write a file called ``-src``, where it was taken for options."""
    if not isinstance(error, click.NoSuchOption) or error.option_name.startswith("--"):
        return ""
    return " (write -- before a name that begins with a dash)"


def _say(message: str) -> None:
    click.echo("vidprep: " + " ".join(message.split()), err=True)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="vidprep")
@click.option("--debug", is_flag=True, help="Show tracebacks and the library's log.")
def main(debug: bool) -> None:
    """Videos in, motion caches out: decode once, compute motion, train from sharded HDF5.

    \b
    Exit status: 0 all done; 1 some videos failed, damage was found, or the run could not go on;
    2 wrong usage; 130 interrupted.
    """
    level = logging.DEBUG if debug else logging.ERROR
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger(__package__.partition(".")[0]).setLevel(level)
    raise_when_interrupted()


if __name__ == "__main__":
    run()
