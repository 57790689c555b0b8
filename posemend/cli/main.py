"""The table of verbs, and the one place that prints errors.

Exit codes: 0 done; 2 the request or the data is wrong (unknown option, file
that cannot be read, impossible value); 1 anything else that went wrong on the
way (damaged bundle, missing package, full disk); 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from cyclopts import App, CycloptsError

from posemend import __version__
from posemend.cli import adapt, blender, calibrate, cameras, data, demo, doctor, learn, output, run, tools
from posemend.errors import InputError, PosemendError, RecipeError

app = App(
    name="posemend",
    help="2D keypoints of a person to a 3D pose that stays right when joints are hidden.",
    version=__version__,
    version_flags=["--version"],
    help_format="plaintext",  # no Markdown in any help text, and its parser is slow to load
)
VERBS: tuple[Callable[..., Any], ...] = (
    run.run, run.lift, run.refine, cameras.triangulate, tools.convert, tools.view, learn.evaluate,
    learn.train, adapt.adapt, learn.export, calibrate.calibrate, doctor.doctor, demo.demo,
)  # fmt: skip
for place, verb in enumerate(VERBS):
    app.command(verb, sort_key=place)  # help lists them in this order
app.command(data.app)
app.command(blender.app)

BAD_REQUEST = (InputError, RecipeError, FileNotFoundError, IsADirectoryError, NotADirectoryError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The words after ``posemend``; ``None`` takes the process's own.

    Returns:
        The exit code, as the module's docstring lists them.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    try:
        command, bound, *_ = app.parse_args(words, exit_on_error=False, print_error=False)
        code = command(*bound.args, **bound.kwargs)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except CycloptsError as error:
        return _fail("UsageError", f"{' '.join(str(error).split())} See: {_help_for(words)}", 2, as_json)
    except BrokenPipeError:
        # whoever read our output has gone; pointing stdout elsewhere keeps Python from complaining at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (PosemendError, OSError, MemoryError) as error:
        if os.environ.get("POSEMEND_DEBUG") == "1":
            traceback.print_exc()
        return _fail(type(error).__name__, _wording(error), 2 if isinstance(error, BAD_REQUEST) else 1, as_json)
    except KeyboardInterrupt:
        return _fail("Interrupted", "interrupted.", 130, as_json)


def _help_for(words: Sequence[str]) -> str:
    verbs = {name for name in app if not name.startswith("-")}
    return f"posemend {words[0]} --help" if words and words[0] in verbs else "posemend --help"


def _wording(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "Not enough memory. Give a shorter clip, or one person at a time (--person)."
    if isinstance(error, OSError) and not isinstance(error, PosemendError) and error.filename is not None:
        return f"{error.strerror}: '{error.filename}'."
    return str(error) or type(error).__name__


def _fail(kind: str, message: str, code: int, as_json: bool) -> int:
    if as_json:
        output.print_json({"error": {"kind": kind, "message": message, "exit_code": code}})
    print(f"posemend: error: {message}", file=sys.stderr)
    return code
