"""Find Blender, run one of our scripts inside of it, and bring back what it said.

Blender is named by ``--blender`` or the environment's ``POSEMEND_BLENDER``: the
program itself, or a Python that can import ``bpy``; else ``blender`` is looked
for on the path. Scripts of a .blend file are never run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posemend.errors import BlenderError, InputError

VARIABLE = "POSEMEND_BLENDER"
HERE = Path(__file__).resolve().parent
_TAIL = 2000


def find(named: str | Path | None = None) -> Path:
    """The program to start.

    Raises:
        BlenderError: There is none.
    """
    wanted = str(named) if named else os.environ.get(VARIABLE, "")
    found = shutil.which(wanted or "blender")
    if found is None:
        looked = f"'{wanted}'" if wanted else "'blender' on the path"
        raise BlenderError(
            f"Looked for Blender at {looked}; it is not there. Install Blender, or make an environment of its own with "
            f"`pip install bpy` (Python 3.11), and name the program or that environment's python with --blender or "
            f"{VARIABLE}."
        )
    return Path(found)


def command(program: Path, script: Path, job: Path) -> list[str]:
    """The words that run a script inside of Blender; a program named like Blender is one, others are a Python."""
    if program.name.lower().startswith("blender"):
        return [str(program), "--background", "--factory-startup", "--disable-autoexec", "--python-exit-code", "3",
                "--python", str(script), "--", str(job)]  # fmt: skip
    return [str(program), str(script), "--", str(job)]


def run(script: str, job: Mapping[str, Any], named: str | Path | None = None, timeout: float = 3600) -> dict[str, Any]:
    """Run ``inside_<script>.py`` with a job.

    Args:
        script: ``"extract"`` or ``"scene"``.
        job: Paths and numbers, as JSON can hold them.
        named: Blender, see `find`.
        timeout: Seconds.

    Returns:
        What the script wrote as its answer.

    Raises:
        BlenderError: No Blender, it failed, or it took too long.
        InputError: The script refused the job, in its words.
    """
    program = find(named)
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "job.json", Path(folder) / "answer.json"
        asked.write_text(json.dumps({**job, "answer": str(answered)}), encoding="utf-8")
        words = command(program, HERE / f"inside_{script}.py", asked)
        clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, env=clean, check=False)
        except subprocess.TimeoutExpired:
            raise BlenderError(f"Blender was stopped after {timeout:g} s.") from None
        except OSError as error:
            raise BlenderError(f"Cannot start '{program}': {error}.") from None
        if not answered.is_file():
            said = (done.stderr or done.stdout).strip()[-_TAIL:]
            raise BlenderError(f"Blender ended without an answer (code {done.returncode}). It said last: {said}")
        answer = json.loads(answered.read_text(encoding="utf-8"))
    if "refused" in answer:
        raise InputError(str(answer["refused"]))
    return answer
