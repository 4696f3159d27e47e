"""The command line: `optimize`, and `graphwright` with a command for each question."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

from graphwright import __version__
from graphwright.requests import nearest

COMMANDS = {
    "optimize": "Rewrite a model so that it computes the same faster, and check that it does.",
    "incremental": "Make a causal model go on from keys and values that it keeps.",
    "unfuse": "Write functions and fused operators out, and check that nothing changes.",
    "diff": "Say how two models differ.",
    "verify": "Say whether two models are the same function.",
    "attention": "List a model's attentions, and say why other softmaxes are none.",
    "rules": "List the rules.",
    "techniques": "List the techniques from papers, or show one.",
    "explain": "Show a rule, or why rules left places of a model alone.",
    "show": "Print a model as text.",
    "bisect": "Name the rewrite that breaks a model.",
    "bench": "Time two models side by side.",
}


class Commands(click.Group):
    """Commands that are imported when they are called, so that help comes at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, from the file of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"graphwright.commands.{cmd_name}_command")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names; the nearest name where there is none."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            otherwise = f"see `{ctx.command_path} --help`"
            ctx.fail(f"there is no command '{args[0]}'; {nearest(args[0], COMMANDS, otherwise)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="graphwright")
@click.pass_context
def graphwright(ctx: click.Context) -> None:
    """Rewrite neural networks, and know that they still compute the same."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(args: Sequence[str] | None = None) -> None:
    """Run `graphwright`, and exit with its status."""
    sys.exit(run(graphwright, "graphwright", args))


def optimize_main(args: Sequence[str] | None = None) -> None:
    """Run `optimize`, and exit with its status."""
    from graphwright.commands.optimize_command import command

    sys.exit(run(command, "optimize", args))


def run(command: click.Command, name: str, args: Sequence[str] | None = None) -> int:
    """The exit status of a command; whatever is wrong with what it was given is one sentence."""
    from graphwright.ir.errors import ModelError

    try:
        with command.make_context(name, list(sys.argv[1:] if args is None else args)) as ctx:
            status = command.invoke(ctx)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        return _trouble(name, _sentence(error))
    except ModelError as error:
        return _trouble(name, str(error))
    except (click.Abort, KeyboardInterrupt):
        called = (args or sys.argv[1:])[:1]
        writes = name == "optimize" or called in (["optimize"], ["unfuse"], ["incremental"])
        return _trouble(name, "interrupted" + "; nothing was written" * writes, 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except MemoryError:
        return _trouble(name, "there is not enough memory for this model")
    except RecursionError:
        return _trouble(name, "the model is nested too deeply")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _trouble(name, f"{where}{error.strerror or error}")
    return status if isinstance(status, int) else 0


def _trouble(name: str, sentence: str, status: int = 2) -> int:
    click.echo(f"{name}: {' '.join(sentence.split())}", err=True)
    return status


def _sentence(error: click.ClickException) -> str:
    """What is wrong with the arguments, in one sentence."""
    ctx = getattr(error, "ctx", None)
    see = f"see `{ctx.command_path} --help`" if ctx is not None else "see --help"
    if isinstance(error, click.NoSuchOption):
        near = error.possibilities
        meant = f"did you mean {near[0]}?" if near else see
        return f"there is no option {error.option_name}; {meant}"
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return f"{error.param.make_metavar(ctx) if ctx else error.param.name} is missing; {see}"
    return error.format_message()
