"""Targets, samples and predictions made by hand, for the tests of validation."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from cartsim.calibrate.endpoints import Sample
from cartsim.evidence.targets import Target
from cartsim.validate.predict import Forecast, Prediction


def make_target(**changes: Any) -> Target:
    """CRS in 40 of 100 patients of the cohort `one`, to be predicted."""
    given: dict[str, Any] = {
        "cohort_id": "one", "patient_set": "one", "use": "predict_new", "trial": "Trial one", "product": "axi-cel",
        "indication": "lymphoma", "n": 100, "denominator": 100, "grading_crs": "Lee 2014", "grading_icans": "CTCAE",
        "policy": "reactive", "endpoint": "crs_any", "statistic": "proportion", "value": 0.4, "low": None,
        "high": None, "unit": "fraction", "citation": "A paper", "doi": "", "verified": True, "source_note": "",
        "line": 2, "file": "targets.csv",
    }  # fmt: skip
    return Target(**given | changes)


def days_target(**changes: Any) -> Target:
    """Median onset of 5 days among the 60 of 100 with CRS."""
    given = {"endpoint": "crs_onset", "statistic": "median", "value": 5.0, "denominator": 60, "unit": "day"}
    return make_target(**given | changes)


def make_sample(among: Any, values: Any) -> Sample:
    """Events or days as they are recorded."""
    found = np.asarray(values)
    return Sample(np.asarray(among, bool), found, found)


def make_cohort(
    name: str = "one", product: str = "axi-cel", policy: str = "usual", neuro: str = "wide"
) -> Any:
    """What scoring asks of a cohort."""
    arm = SimpleNamespace(policy=SimpleNamespace(id=policy))
    scenario = SimpleNamespace(product=SimpleNamespace(id=product), arms=(arm,), hash=lambda: "0" * 64)
    return SimpleNamespace(id=name, neuro=neuro, scenario=scenario)


def make_prediction(target: Target, *spans: tuple[float, float, float], chance: Any = None) -> Prediction:
    """(value, lower, upper) for each number."""
    return Prediction(target, tuple(Forecast(*span, chance=chance) for span in spans), draws=10)
