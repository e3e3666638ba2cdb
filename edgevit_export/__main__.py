"""Entry point: run the command line and turn the error tree into exit codes."""

from __future__ import annotations

import atexit
import codecs
import ctypes
import locale
import os
import sys
import threading
import traceback
from collections.abc import Sequence
from io import TextIOWrapper
from typing import NoReturn

from edgevit.errors import EdgevitExportError, FailureError, is_of_the_system
from edgevit_export.interrupt import watch
from edgevit_export.streams import dependable_streams, flush_or_forget, forget, occupy_closed_descriptors

_INTERRUPTED = 130
_DEFECT = "this is a defect of edgevit-export; please report it with the lines above"
_STOPPED = "interrupted: nothing unfinished was left under a final name"


def main() -> None:
    """Run ``edgevit-export`` and exit with the code that the outcome stands for (see ``edgevit.errors``)."""
    occupy_closed_descriptors()
    _leave_ascii()
    _survive_narrow_streams()
    watch()
    code = run(sys.argv[1:])
    flush_or_forget(sys.stderr)
    _leave(code)


def _leave_ascii() -> None:
    """Begin again in Python's UTF-8 mode where the locale knows nothing but ASCII.

    Python does so by itself for the locales C and POSIX unless it is told not to, and for no other that is ASCII; parts
    of torch read their own UTF-8 sources by the locale, and fail. Processes that are started inherit the mode.
    """
    if os.name == "posix" and not sys.flags.utf8_mode and codecs.lookup(locale.getencoding()).name == "ascii":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _leave(code: int) -> NoReturn:
    """End without taking the interpreter apart, which takes a second behind an export and frees what ends anyway.

    What was registered for the end runs, and what native code still holds for a stream is written. A thread that is to
    be waited for, and a system other than POSIX, get the usual end.
    """
    waited_for = [thread for thread in threading.enumerate() if not thread.daemon]
    if os.name != "posix" or waited_for != [threading.main_thread()]:
        sys.exit(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        flush_or_forget(stream)
    ctypes.CDLL(None).fflush(None)
    os._exit(code)


def _survive_narrow_streams() -> None:
    """Let stdout and stderr show what their encoding lacks as an escape, where the parser prints its help too."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; prints errors, never raises them.

    With ``--json`` a failure is a JSON object on stdout as well, so that there is one whatever happens.
    """
    from edgevit_export.console import begin

    begin()
    with dependable_streams():
        try:
            return _run(arguments)
        except BrokenPipeError:  # who read stdout has seen enough; nothing is to be flushed there at the end either
            forget(sys.stdout)
            return 141
        finally:
            begin()


def _run(arguments: list[str]) -> int:
    import typer

    from edgevit_export.app import app
    from edgevit_export.console import Failure, failure_of, print_error, print_failure
    from edgevit_export.suggestions import command_in, usage_error

    def failed(error: EdgevitExportError) -> int:
        print_error(error)
        if _wants_json(arguments):
            try:
                print_failure(failure_of(error))
            except OSError as second:  # stdout itself may be what cannot be written
                if not is_of_the_system(second):
                    raise
        return error.exit_code

    def ended(words: str, kind: str, code: int) -> int:
        sys.stderr.write(words + "\n")
        if _wants_json(arguments):
            print_failure(Failure(kind=kind, message=words, exit_code=code))
        return code

    try:
        code = app(arguments, prog_name="edgevit-export", standalone_mode=False)
        sys.stdout.flush()  # what cannot be written is told here, not by the interpreter as it ends
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
        return failed(usage_error(error.format_message(), context.command_path if context else command_in(arguments)))
    except (KeyboardInterrupt, typer.Abort):
        return ended(_STOPPED, "interrupted", _INTERRUPTED)
    except BrokenPipeError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and is_of_the_system(error):
            return failed(_unwritable(error))
        _print_traceback(error)
        return ended(f"error: {_DEFECT}", "defect", EdgevitExportError.exit_code)


def _unwritable(error: OSError) -> FailureError:
    """What the system refused, in words. Without a name it is stdout, or a file of which nobody thought."""
    try:
        sys.stdout.flush()
    except OSError:
        forget(sys.stdout)
    where = error.filename or "the output of this command"
    return FailureError(f"cannot write {where}: {error.strerror}", hint="free some space, or write elsewhere")


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
