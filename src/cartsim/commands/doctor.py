"""Why: "it does not run here" is answered by one command that looks at what cartsim needs: Python, packages, a cache
for compiled code, folders it can write to.
"""

import os
import platform
import tempfile
from importlib import metadata, util
from pathlib import Path
from typing import Any

from cartsim.commands.terminal import make_console, wrap
from cartsim.sweep.executors.base import cores

CORE = (
    "simpy",
    "numpy",
    "pandas",
    "pyarrow",
    "numba",
    "scipy",
    "pydantic",
    "ruamel.yaml",
    "typer",
    "rich",
    "jinja2",
    "matplotlib",
)
#: Extra -> (module to look for, what it is for). A run on one machine needs none of them.
OPTIONAL = {
    "dask": ("distributed", "--executor dask"),
    "sensitivity": ("SALib", "sweeps of method saltelli or morris"),
    "calibrate": ("cma", "calibration, which this version does not have yet"),
    "app": ("shiny", "the live page, which this version does not have yet"),
}


def examine() -> dict[str, Any]:
    """Findings as plain data; `ok` is False where a run cannot work here."""
    from cartsim.compiled import cache_folder

    packages = {name: _version(name) for name in CORE}
    cache = cache_folder()
    folders = {
        "compiled cache": {"path": str(cache), "writable": _writable(cache), "files": _count(cache)},
        "temporary": {"path": tempfile.gettempdir(), "writable": _writable(Path(tempfile.gettempdir()))},
        "here": {"path": str(Path.cwd()), "writable": _writable(Path.cwd())},
    }
    optional = {
        name: {"present": util.find_spec(module) is not None, "for": purpose}
        for name, (module, purpose) in OPTIONAL.items()
    }
    return {
        "ok": None not in packages.values() and folders["temporary"]["writable"],
        "cartsim": _version("cartsim"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": cores(),
        "compiling": "off (NUMBA_DISABLE_JIT)" if os.environ.get("NUMBA_DISABLE_JIT") == "1" else "on",
        "packages": packages,
        "folders": folders,
        "optional": optional,
    }


def print_findings(findings: dict[str, Any]) -> None:
    """The findings on stdout, one fact a line."""
    print(f"cartsim {findings['cartsim']}, Python {findings['python']} on {findings['platform']}")
    print(f"cores: {findings['cores']}; compiled engine: {findings['compiling']}")
    shown = [f"{name} {version or 'MISSING'}" for name, version in findings["packages"].items()]
    print(wrap("packages: " + ", ".join(shown), make_console().width))
    for name, folder in findings["folders"].items():
        state = "writable" if folder["writable"] else "NOT WRITABLE"
        more = ""
        if "files" in folder:
            more = (
                f", {folder['files']} files"
                if folder["files"]
                else ", empty: the first run compiles the engine"
            )
        print(f"{name}: {folder['path']} ({state}{more})")
    for name, part in findings["optional"].items():
        state = "present" if part["present"] else "absent"
        print(f"optional {name}, for {part['for']}: {state}")
    print(
        "all that a run needs is here" if findings["ok"] else "a run will not work here: see what is MISSING"
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _writable(folder: Path) -> bool:
    """Whether a file can be made in the folder, or in the nearest one above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _count(folder: Path) -> int:
    return sum(1 for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
