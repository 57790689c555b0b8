"""``doctor``: what works on this machine, and what to install for the rest."""

from __future__ import annotations

import importlib
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from posemend import __version__
from posemend.cli import options, output

CORE = ("numpy", "scipy", "onnxruntime", "pydantic", "cyclopts", "rich")
EXTRAS = {"train": ("torch", "onnx", "onnxscript", "safetensors", "matplotlib"), "dev": ("pytest", "playwright")}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "firefox")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What.
        state: ``"ok"``, ``"missing"`` (optional and not there) or ``"broken"`` (needed, and does not work).
        found: What was found.
        cure: What to do about it; empty where nothing needs doing.
    """

    name: str
    state: str
    found: str
    cure: str = ""


def doctor(*, as_json: options.Json = False) -> int:
    """Say what works on this machine and what to install for the rest.

    The exit code is 0 if everything needed to run works, 1 if something is broken.
    """
    with output.working("looking", as_json):
        checks = [check for look in (_python, _core, _providers, _bundles, _extras, _torch, _tools, _disk)
                  for check in look()]  # fmt: skip
    healthy = not any(check.state == "broken" for check in checks)
    if as_json:
        output.print_json({"verb": "doctor", "healthy": healthy, "checks": [asdict(check) for check in checks]})
    else:
        rows = [(check.name, check.state, check.found) for check in checks]
        output.print_table("posemend doctor", ["", "state", "found"], rows, numbers=False)
        for check in checks:
            if check.cure:
                print(f"{check.name}: {check.cure}")
        print("Everything needed to run is here." if healthy else "Something needed to run is broken, see above.")
    return 0 if healthy else 1


def _python() -> list[Check]:
    system = f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    enough = sys.version_info >= (3, 11)
    return [
        Check("posemend", "ok", __version__),
        Check("python", "ok" if enough else "broken", system, "" if enough else "Python 3.11 or newer is needed."),
    ]


def _package(name: str, needed: bool, cure: str) -> Check:
    from importlib import metadata  # slow, and only this verb wants it

    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, "broken" if needed else "missing", "not installed", cure)
    return Check(name, "ok", version)


def _core() -> list[Check]:
    checks = []
    for name in CORE:
        check = _package(name, True, "pip install posemend")
        if check.state == "ok":
            check = _loaded(check)
        checks.append(check)
    return checks


def _loaded(check: Check) -> Check:
    """The check of a package, or what went wrong when it was imported: doctor must survive whatever is broken."""
    try:
        importlib.import_module(check.name)
    except Exception as error:
        return Check(check.name, "broken", f"{check.found}, does not load: {error}", f"Reinstall {check.name}.")
    return check


def _providers() -> list[Check]:
    try:
        import onnxruntime
    except Exception:
        return []  # reported by _core already
    return [Check("onnx providers", "ok", ", ".join(onnxruntime.get_available_providers()))]


def _bundles() -> list[Check]:
    from posemend.contract import card
    from posemend.errors import PosemendError

    checks = []
    for name in card.SETS:
        found = []
        try:
            for task in card.TASKS:
                about = card.read_card(card.find(name, task))  # compares the hash
                found.append(f"{task}: {about.name} {about.version}, {about.parameters / 1e6:.1f} M parameters")
        except (PosemendError, OSError) as error:
            checks.append(Check(f"bundle {name}", "broken", str(error), "Reinstall posemend."))
        else:
            checks.append(Check(f"bundle {name}", "ok", "; ".join(found)))
    return checks


def _extras() -> list[Check]:
    return [
        _package(package, False, f"for '{extra}': pip install 'posemend[{extra}]'")
        for extra, packages in EXTRAS.items()
        for package in packages
    ] + [_package("av", False, "to read video in your own programs: pip install av")]


def _torch() -> list[Check]:
    try:
        torch = importlib.import_module("torch")
    except Exception:
        return []
    cuda = torch.cuda.is_available()
    name = torch.cuda.get_device_name(0) if cuda else "none that torch can use; training runs on the CPU"
    fast = ", ".join(sorted(_cpu_flags() & {"amx_bf16", "avx512_bf16"}))
    return [
        Check("cuda", "ok" if cuda else "missing", name),
        Check("bfloat16 on the CPU", "ok" if fast else "missing", fast or "not in this processor, or not known"),
    ]


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())


def _tools() -> list[Check]:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    cure = "" if browser else "to open pages on this machine, install one; pages open on any other machine as well."
    return [Check("browser", "ok" if browser else "missing", browser or "none found", cure)]


def _disk() -> list[Check]:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    enough = free > 0.1
    return [Check("disk", "ok" if enough else "broken", f"{free:.1f} GB free here", "" if enough else "Make room.")]
