"""The application: shared options, and errors as one readable line."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn, Protocol, runtime_checkable

import typer

from anomalon import __version__
from anomalon.errors import AnomalonError

EPILOG = "A mistake gives one line and exit code 2; --debug shows where in the code it happened."

INTERRUPTED = 130
"""Exit code after Ctrl-C, by convention 128 + SIGINT; some versions of typer return it, others raise."""

FULL = os.strerror(errno.ENOSPC)

app = typer.Typer(
    name="anomalon",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"anomalon {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; goes anywhere.")] = False,
) -> None:
    """Learn what LHC collisions look like, find those that do not fit, and show how far to believe it."""
    del version, debug


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 2 a mistake that the user can cure, 130 interrupted, 1 our mistake."""
    args = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in args or bool(os.environ.get("ANOMALON_DEBUG"))
    sys.exit(_run([arg for arg in args if arg != "--debug"], debug))


def _run(args: list[str], debug: bool) -> int:
    try:
        code = app(args=args, standalone_mode=False, prog_name="anomalon") or 0
        return _complain("interrupted", code) if code == INTERRUPTED else code
    except (typer.Abort, KeyboardInterrupt):
        return _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again on exit
        return 1
    except Exception as error:
        if isinstance(error, UsageProblem):
            return _complain(_usage(error), error.exit_code)
        if debug:
            raise
        return _explain(error)


def _explain(error: Exception) -> int:
    if isinstance(error, AnomalonError):
        return _complain(str(error), 2)
    if (reason := _of_the_system(error)) is not None:
        return _complain(f"{reason}; check the path, its permissions and the space that is left", 2)
    if isinstance(error, MemoryError):
        return _complain("out of memory; use fewer events at a time (--chunk) or fewer fields (--fields)", 2)
    what = f"{type(error).__name__}: {error}"
    return _complain(f"internal: {what}; run again with --debug and report what it shows", 1)


def _of_the_system(error: BaseException | None) -> str | None:
    """What the operating system refused, also where a library has put an error of its own on top; else None."""
    while error is not None:
        if isinstance(error, OSError):
            where = f": '{error.filename}'" if error.filename else ""
            return f"{error.strerror or error}{where}"
        if FULL in str(error):  # libraries that are not written in Python give the text alone
            return FULL
        error = error.__cause__ or error.__context__
    return None


@runtime_checkable
class UsageProblem(Protocol):
    """What typer raises on a wrong option; the class itself has moved between its versions."""

    exit_code: int

    def format_message(self) -> str:
        """The message, without a prefix."""
        ...


def _usage(error: UsageProblem) -> str:
    context = getattr(error, "ctx", None)
    hint = f"; see: {context.command_path} --help" if context is not None else ""
    message = error.format_message().rstrip(".")
    return message + hint if message else ""


def _complain(message: str, code: int) -> int:
    if message:  # without arguments the help is shown, and that says it all
        print(f"anomalon: error: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201
    return code
