"""Entry point: run the command line and turn the error tree into exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

from edgevit.errors import EdgevitExportError

_INTERRUPTED = 130
_DEFECT = "this is a defect of edgevit-export; please report it with the lines above"
_STOPPED = "interrupted: nothing unfinished was left under a final name"


def main() -> None:
    """Run ``edgevit-export`` and exit with the code that the outcome stands for (see ``edgevit.errors``)."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; prints errors, never raises them.

    With ``--json`` a failure is a JSON object on stdout as well, so that there is one whatever happens.
    """
    from edgevit_export.console import begin

    begin()
    try:
        return _run(arguments)
    except BrokenPipeError:  # who read stdout has seen enough; nothing is to be flushed there at the end either
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    finally:
        begin()


def _run(arguments: list[str]) -> int:
    import typer

    from edgevit_export.app import app
    from edgevit_export.console import Failure, failure_of, print_error, print_failure
    from edgevit_export.suggestions import usage_error

    def failed(error: EdgevitExportError) -> int:
        print_error(error)
        if _wants_json(arguments):
            print_failure(failure_of(error))
        return error.exit_code

    def ended(words: str, kind: str, code: int) -> int:
        sys.stderr.write(words + "\n")
        if _wants_json(arguments):
            print_failure(Failure(kind=kind, message=words, exit_code=code))
        return code

    try:
        code = app(arguments, prog_name="edgevit-export", standalone_mode=False)
        if code == _INTERRUPTED:  # typer has caught the KeyboardInterrupt
            return ended(_STOPPED, "interrupted", _INTERRUPTED)
        return code if isinstance(code, int) else 0
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # the parser makes exit code 1 of it
            raise stop.__context__ from None
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    except EdgevitExportError as error:
        return failed(error)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        return failed(usage_error(error.format_message(), context.command_path if context else "edgevit-export"))
    except (KeyboardInterrupt, typer.Abort):
        return ended(_STOPPED, "interrupted", _INTERRUPTED)
    except BrokenPipeError:
        raise
    except Exception as error:
        _print_traceback(error)
        return ended(f"error: {_DEFECT}", "defect", EdgevitExportError.exit_code)


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether JSON was asked for; the command line itself may be what could not be read."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options


def _print_traceback(error: Exception) -> None:
    """The traceback, which quotes what was read, with nothing in it that steers a terminal."""
    from edgevit.text import printable

    for line in "".join(traceback.format_exception(error)).rstrip().split("\n"):
        sys.stderr.write(printable(line) + "\n")


if __name__ == "__main__":
    main()
