"""Why: a cohort file and the scenario that names it must fit together: nothing said twice, nothing left unsaid, and no
more subjects than patients where each is taken once. All of it is said at once, before anything runs.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cartsim.errors import InvalidInput, Problem
from cartsim.evidence.population import NAMES
from cartsim.scenario.patients import PatientFile, Patients, another_file, read_patients

if TYPE_CHECKING:
    from cartsim.scenario.models import Population

#: Covariates that every patient must have unless the scenario or `missing: draw` says otherwise. The cell dose is the
#: product's.
NEEDED = tuple(name for name in NAMES if name != "cell_dose_1e6")
#: What a scenario may say instead of a column.
INSTEAD = {"male": "male_share", "prior_neuro": "prior_neuro_share", "burden": "high_burden_share"}


def open_cohort(block: "Population", folder: str, dose_given: bool, place: Any) -> tuple[PatientFile, int]:
    """(handle, subjects) of the file that a population block names; `dose_given`: product.dose_cells_1e6 is.

    `place(key, what, mend)` makes a `Problem` of the scenario. Raises `InvalidInput` for what does not fit the file.
    """
    assert block.file is not None
    path = Path(folder) / block.file
    patients, sha256 = read_patients(path)
    if block.sha256 is not None and block.sha256 != sha256:
        raise another_file(path, block.sha256, sha256)
    given = block.model_dump(exclude_none=True)
    problems = list(_twice(patients, given, dose_given, place)) + list(_sizes(patients, block, place))
    drawn = [
        (name, int(patients.missing(name).sum())) for name in NEEDED if INSTEAD.get(name, name) not in given
    ]
    drawn = [(name, count) for name, count in drawn if count]
    if patients.has("cell_dose_1e6") and patients.missing("cell_dose_1e6").any():
        drawn.append(("cell_dose_1e6", int(patients.missing("cell_dose_1e6").sum())))
    if drawn and block.missing == "refuse":
        problems += _gaps(patients, drawn, path)
    if problems:
        raise InvalidInput("the scenario and its cohort do not fit", problems=problems)
    subjects = block.subjects if "subjects" in block.model_fields_set else patients.available
    handle = PatientFile(
        block.file, folder, sha256, block.sample, tuple(drawn), len(patients), patients.unread
    )
    return handle, subjects


def _twice(patients: Patients, given: dict[str, Any], dose_given: bool, place: Any) -> list[Problem]:
    found = []
    for name in NAMES:
        key = INSTEAD.get(name, name)
        if key in given and patients.has(name):
            what = f"{name} is a column of the cohort file and given here too"
            found.append(place((key,), what, "keep one of the two"))
    if dose_given and patients.has("cell_dose_1e6"):
        what = "the cohort file has a column cell_dose_1e6, and product.dose_cells_1e6 is given"
        found.append(place(("file",), what, "keep one of the two"))
    return found


def _sizes(patients: Patients, block: "Population", place: Any) -> list[Problem]:
    asked = block.subjects if "subjects" in block.model_fields_set else None
    found = []
    if block.sample == "all":
        if patients.weights is not None:
            what = "the cohort has sampling weights, and `sample: all` takes each patient once"
            found.append(place(("sample",), what, "with_replacement, or without_replacement"))
        if asked is not None and asked != len(patients):
            what = f"{asked:,} subjects of a cohort of {len(patients):,} patients, each taken once"
            found.append(place(("subjects",), what, f"{len(patients)}, or sample: with_replacement"))
    elif block.sample == "without_replacement" and asked is not None and asked > patients.available:
        what = f"{asked:,} subjects, and the cohort has {patients.available:,} patients to draw without replacement"
        found.append(place(("subjects",), what, f"{patients.available}, or sample: with_replacement"))
    return found


def _gaps(patients: Patients, drawn: list[tuple[str, int]], path: Path) -> list[Problem]:
    from cartsim.scenario.patient_tables import line_of

    found = []
    for name, count in drawn:
        column = "high_burden" if name == "burden" else name
        instead = f"population.{INSTEAD.get(name, name)}, or missing: draw (docs/cohorts.md)"
        if count == len(patients):
            found.append(Problem(str(path), None, column, f"column `{column}` is missing", instead))
            continue
        first = int(np.flatnonzero(patients.missing(name))[0])
        what = f"no value for {count:,} of {len(patients):,} patients, first for id {patients.ids[first]}"
        found.append(
            Problem(str(path), line_of(path, first), column, what, "missing: draw (docs/cohorts.md)")
        )
    return found
