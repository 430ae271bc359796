"""Looking more often changes nobody: without a drug the latent course does not know when it was assessed."""

import pyarrow as pa
import pytest

from cartsim.study import run

#: Whoever is in the ICU when it matters depends on assessments, and so would the hazard outside it.
SAME_HAZARD = {"overrides": {"death.no_icu_factor": 1.0, "death.crs_per_d": 0.3, "death.icans_per_d": 0.3}}
DEATH = ["t_death_d", "death_cause", "t_followup_d"]


def latent(table: pa.Table) -> pa.Table:
    """What happened, whether or not anybody looked."""
    return table.select([name for name in table.column_names if "latent" in name] + DEATH)


@pytest.mark.parametrize("start", ["inpatient", "outpatient"])
def test_assessment_intervals_change_no_bit_of_the_latent_course(probe, differing, start: str) -> None:
    arms = [{"id": "none", "policy": "no_treatment"}]
    tables = []
    for hours in (1, 6, 12):
        monitoring = {
            "ward_h": hours,
            "icu_h": hours / 2,
            "clinic_h": 2 * hours,
            "home_h": 2 * hours,
            "start": start,
        }
        scenario = probe(400, arms=arms, monitoring=monitoring, model=SAME_HAZARD)
        tables.append(run(scenario).arrow("adsl"))
    assert differing(latent(tables[0]), latent(tables[1])) == []
    assert differing(latent(tables[0]), latent(tables[2])) == []
    # what was seen does depend on when somebody looked, and some have died
    assert "t_crs_d" in differing(tables[0], tables[2])
    assert tables[0]["t_death_d"].null_count < 400


def test_a_prophylactic_dose_does_not_care_either(probe, differing) -> None:
    """A dose by the clock is the same whenever anybody looks; only reactive rules answer to assessments."""
    arms = [{"id": "dose", "policy": "no_treatment", "prophylaxis": ["toci_d1", "dex_d0_2"]}]
    tables = []
    for hours in (2, 12):
        scenario = probe(300, arms=arms, monitoring={"ward_h": hours, "icu_h": hours}, model=SAME_HAZARD)
        tables.append(run(scenario).arrow("adsl"))
    assert differing(latent(tables[0]), latent(tables[1])) == []
    assert min(tables[0]["toci_doses"].to_pylist()) == 1
