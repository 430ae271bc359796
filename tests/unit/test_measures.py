"""The numbers behind outcomes are those of adsl to the last bit, and only those that are asked for are made."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cartsim.analysis.endpoints import CRS_SCALES, columns_needed, standard_endpoints
from cartsim.cells import Ran, Span, build_tables, measure, run_arms
from cartsim.record import table
from cartsim.scenario.load import load_scenario
from cartsim.sweep.points import Points
from cartsim.tables import adsl
from cartsim.tables.measures import measures


@pytest.fixture(scope="module")
def cohort(probe: Callable[..., dict[str, Any]]) -> tuple[Any, list[Ran]]:
    """Ill enough that every drug is given and somebody dies."""
    ill = {"base": "axi-cel", "overrides": {"crs_mu": 1.6}}
    points = Points(load_scenario(probe(600, product=ill)))
    return points.base, run_arms(points.base, points.arms(0), Span(0, 0, 600))


def bits(column: pa.ChunkedArray | pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Values as int64 patterns with missing ones as 0, and which are missing."""
    missing = np.asarray(column.is_null())
    plain = column.fill_null(0).to_numpy()
    return np.ascontiguousarray(plain, "f8" if plain.dtype.kind == "f" else "i8").view("i8"), missing


def test_measures_are_the_columns_of_adsl(cohort: tuple[Any, list[Ran]]) -> None:
    """Bit for bit: integers as they are, times with null where the measure is NaN."""
    scenario, arms = cohort
    for ran in arms:
        made = build_tables(scenario, ran)["adsl"]
        found = measure(ran, None)
        assert set(found) <= set(made.column_names)
        for name, values in found.items():
            stored, missing = bits(made[name])
            assert len(values) == ran.count
            if values.dtype.kind == "f" and pa.types.is_floating(made.schema.field(name).type):
                assert np.array_equal(np.isnan(values), missing), name
                assert np.array_equal(np.where(missing, 0.0, values).view("i8"), stored), name
            else:
                assert not missing.any(), name
                assert np.array_equal(values.astype("i8"), stored), name
        never = [name for name, values in found.items() if not np.any(values == values)]
        assert len(never) < 5 and found["t_death_d"].size > np.isnan(found["t_death_d"]).sum()


def test_every_numeric_column_that_a_course_decides_is_a_measure(cohort: tuple[Any, list[Ran]]) -> None:
    """What is left is who the subject was, and what is made of the day of death."""
    _, arms = cohort
    columns = {
        c.name
        for c in table("adsl").columns
        if not c.added and (pa.types.is_floating(c.type) or pa.types.is_integer(c.type))
    }
    keys = {"design_id", "replicate", "subject", "TRT01PN", "DTHADY"}
    before = {"AGE", "WEIGHTBL", "high_burden", "prior_neuro", "ldh_u_per_l", "ferritin_ng_per_ml", "easix"}
    before |= {"crp_mg_per_l", "platelets_1e9_per_l", "creatinine_mg_per_dl", "cell_dose_1e6", "risk"}
    assert columns - keys - before == set(measure(arms[0], None))


@pytest.mark.parametrize("scale", CRS_SCALES)
def test_every_endpoint_finds_its_columns(cohort: tuple[Any, list[Ran]], scale: str) -> None:
    wanted = columns_needed(standard_endpoints(scale))
    assert set(measure(cohort[1][0], wanted)) == set(wanted)


@pytest.mark.parametrize(
    "wanted",
    [[], ["icu_days"], ["crs_max_penn", "t_death_d", "hospital_days"], ["toci_mg", "AGE", "nothing"]],
)
def test_only_what_is_wanted_is_made(cohort: tuple[Any, list[Ran]], wanted: list[str]) -> None:
    """Fewer columns have the bits that they have among all; a name that is no measure is ignored."""
    ran = cohort[1][0]
    found, whole = measure(ran, wanted), measure(ran, None)
    assert set(found) == set(wanted) & set(whole)
    for name, values in found.items():
        assert values.tobytes() == whole[name].tobytes(), name


def test_adsl_is_the_same_from_measures_at_hand(cohort: tuple[Any, list[Ran]], differing) -> None:
    ran = cohort[1][0]
    arrays = ran.subjects, ran.block.courses, ran.latent
    plain = adsl(ran.who, ran.cohort, *arrays)
    assert differing(plain, adsl(ran.who, ran.cohort, *arrays, measures(ran.who, *arrays))) == []


def test_nobody_has_empty_measures(cohort: tuple[Any, list[Ran]]) -> None:
    ran = cohort[1][0]
    found = measures(ran.who, ran.subjects[:0], ran.block.courses[:0], ran.latent[:0])
    assert {len(values) for values in found.values()} == {0}
    assert set(found) == set(measure(ran, None))
