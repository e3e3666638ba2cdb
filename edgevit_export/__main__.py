"""Entry point: run the command line and turn the error tree into exit codes."""

from __future__ import annotations

import sys
import traceback

from edgevit.errors import EdgevitExportError, UsageError

_INTERRUPTED = 130


def main() -> None:
    """Run ``edgevit-export`` and exit with the code that the outcome stands for (see ``edgevit.errors``)."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; prints errors, never raises them."""
    import typer

    from edgevit_export.app import app
    from edgevit_export.console import print_error

    try:
        code = app(arguments, prog_name="edgevit-export", standalone_mode=False)
        if code == _INTERRUPTED:  # typer has caught the KeyboardInterrupt
            return _interrupted()
        return code if isinstance(code, int) else 0
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    except EdgevitExportError as error:
        print_error(error)
        return error.exit_code
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "edgevit-export"
        print_error(_usage_error(error.format_message(), path))
        return UsageError.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except BrokenPipeError:
        return 141
    except Exception:
        traceback.print_exc()
        sys.stderr.write("error: this is a defect of edgevit-export; please report it with the lines above\n")
        return EdgevitExportError.exit_code


def _interrupted() -> int:
    sys.stderr.write("interrupted: nothing unfinished was left under a final name\n")
    return _INTERRUPTED


def _usage_error(message: str, command: str) -> UsageError:
    """What the parser refused. Exporting is what happens without a command, and many will type its name."""
    if message.startswith("No such command 'export'"):
        return UsageError("no such command 'export': exporting needs none", hint="edgevit-export --variant s")
    return UsageError(message, hint=f"{command} --help")


if __name__ == "__main__":
    main()
