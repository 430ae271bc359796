"""Simulator of CRS and ICANS after CAR-T infusion: one cohort of virtual subjects under several policies.

The package root is the front door for notebooks and scripts; nothing inside the package imports it. Names are
fetched on first use, so that `import cartsim` and `cartsim --help` load neither pandas nor the compiled model.

    study = cartsim.run("scenarios/tocilizumab_timing.yaml")
    study.contrasts
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cartsim.results import ce_frame
    from cartsim.scenario.load import load_scenario
    from cartsim.story import explain, replay
    from cartsim.study import Study, run

    __version__: str

__all__ = ["Study", "__version__", "ce_frame", "explain", "load_scenario", "replay", "run"]

_HOME = {
    "load_scenario": "cartsim.scenario.load",
    "run": "cartsim.study",
    "ce_frame": "cartsim.results",
    "Study": "cartsim.study",
    "replay": "cartsim.story",
    "explain": "cartsim.story",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("cartsim")
    elif name in _HOME:
        from importlib import import_module

        value = getattr(import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module 'cartsim' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
