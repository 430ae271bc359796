"""The ends of every scale: nobody, one, everybody ill, nobody ill, everybody dead, one day, ninety days, many arms.
Each run must finish, say what is so and show null where there is nothing to say."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cartsim.commands.console import print_answer, print_ending
from cartsim.scenario.load import load_scenario
from cartsim.store import verify
from cartsim.study import Study, run

#: No background fever either: what then shows is the disease.
CALM = {"behaviour.other_fever_share": 0.0, "death.background_per_d": 0.0}


@pytest.fixture
def quietly(probe) -> Callable[..., Study]:
    """Runs a scenario in which no warning of numpy or scipy may be raised."""

    def with_warnings_as_errors(subjects: int, out: Path | None = None, **changes: Any) -> Study:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return run(probe(subjects, **changes), out)

    return with_warnings_as_errors


def product(**overrides: Any) -> dict[str, Any]:
    return {"base": "axi-cel", "overrides": overrides}


@pytest.mark.parametrize(
    ("site", "source"),
    [(None, "philox"), (None, "sobol"), ({"beds": 1, "arrivals": {"poisson_per_day": 1}}, "philox")],
)
def test_nobody(quietly, tmp_path: Path, site: Any, source: str) -> None:
    """An empty cohort is written, printed and summarised: no row of a subject, and null, never 0, as its summary."""
    study = quietly(0, tmp_path / "run", site=site, run={"seed": 1, "source": source})
    verify(tmp_path / "run")
    for name in ("adsl", "adae", "adcm", "adex", "adtte", "grade_intervals"):
        assert study.table(name).empty
        assert len(study.table(name).columns) > 7
    for table in (study.outcomes, study.contrasts):
        assert len(table) > 100
        assert table[["value", "lower", "upper", "mcse", "sd_subject"]].isna().all(axis=None)
        assert (table["n_units"] == 0).all()


def test_nobody_is_printed_as_dashes(quietly, probe, capsys: pytest.CaptureFixture[str]) -> None:
    study = quietly(0)
    print_answer(study, load_scenario(probe(0)))
    print_ending(study)
    shown = capsys.readouterr().out
    assert "nan" not in shown.lower() and "None" not in shown
    assert shown.count("–") > 20


def test_one(quietly, tmp_path: Path) -> None:
    """One subject has shares of 0 or 1 with wide intervals, means without any, and survives storage."""
    study = quietly(1, tmp_path / "run")
    verify(tmp_path / "run")
    assert len(study.table("adsl")) == 2
    shares = study.outcomes[study.outcomes["summary"] == "proportion"]
    assert shares["value"].isin([0.0, 1.0]).all()
    assert (shares["upper"] - shares["lower"]).gt(0.5).all()
    means = study.outcomes[study.outcomes["summary"] == "mean"]
    assert means["value"].notna().all()
    assert means[["lower", "upper", "sd_subject"]].isna().all(axis=None)
    differences = study.contrasts[study.contrasts["summary"] == "mean difference"]
    assert differences["lower"].isna().all()


def test_everybody_at_grade_4(quietly) -> None:
    """Latent and, in an ICU, observed: all have grade 4, and nobody goes home before CRS has gone."""
    study = quietly(
        150,
        product=product(crs_mu=9.0, crs_sigma=0.01),
        arms=[{"id": "none", "policy": "no_treatment"}],
        model={
            "overrides": {"death.background_per_d": 0.0, "death.crs_per_d": 0.0, "death.icans_per_d": 0.0}
        },
    )
    adsl = study.table("adsl")
    columns = ["crs_latent_astct2019", "crs_max_astct2019", "crs_max_grade"]
    assert (adsl[columns] == 4).all(axis=None)
    assert adsl[["icu", "vasopressor", "ventilated"]].eq(1).all(axis=None)
    assert (adsl["t_discharge_d"].fillna(99) > adsl["t_crs_end_d"].fillna(0)).all()
    row = study.outcomes.query("estimand_id == 'crs_ge4.astct2019.observed.proportion'")
    assert row["value"].item() == 1.0 and row["upper"].item() == 1.0 and 0.95 < row["lower"].item() < 1
    curve = study.outcomes.query("endpoint == 'crs_ge4_incidence' and level == 30")
    assert curve["value"].item() == 1.0 and curve["upper"].item() == 1.0 and curve["lower"].item() > 0.95


def test_nobody_ill(quietly) -> None:
    """No grade, no dose, no ICU; everyone leaves at the first assessment after the shortest stay."""
    study = quietly(150, product=product(crs_mu=-5.0, icans_mu=-9.0), model={"overrides": CALM})
    adsl = study.table("adsl")
    graded = [
        name for name in adsl.columns if name.startswith(("crs_max", "icans_max", "ne_max", "crs_latent"))
    ]
    assert len(graded) > 10
    assert (adsl[graded] == 0).all(axis=None)
    assert study.table("adae").empty and study.table("adcm").empty
    assert adsl["t_discharge_d"].nunique() == 1
    assert (adsl["hospital_days"] == adsl["t_discharge_d"]).all()
    assert adsl["DTHFL"].isna().all()
    assert (study.table("grade_intervals").groupby("arm_id", observed=True).size() == 3 * 150).all()
    onset = study.outcomes.query("endpoint == 'crs_onset'")
    assert onset["value"].isna().all() and (onset["n_units"] == 0).all()
    ratios = study.contrasts[study.contrasts["summary"] == "log risk ratio"]
    assert ratios["value"].isna().all()


def test_everybody_dies(quietly) -> None:
    """Death stops the course of each, early; incidences stop short and survival ends at 0."""
    study = quietly(150, model={"overrides": {"death.background_per_d": 3.0}})
    adsl = study.table("adsl")
    assert adsl["DTHFL"].eq("Y").all()
    assert adsl["t_followup_d"].lt(30).all() and adsl["EOSSTT"].eq("DISCONTINUED").all()
    death = study.outcomes.query("endpoint == 'death'")
    assert (death["value"] == 1.0).all()
    crs = study.outcomes.query("endpoint == 'crs_any_incidence' and level == 30")["value"]
    assert crs.lt(1).all()
    assert study.table("adtte").query("PARAMCD == 'OS'")["CNSR"].eq(0).all()
    # whoever is still in hospital at death was never discharged
    assert (
        adsl["t_discharge_d"].isna().sum() == len(adsl) - (adsl["t_discharge_d"] < adsl["t_followup_d"]).sum()
    )


@pytest.mark.parametrize("days", [1, 90])
def test_horizons(quietly, days: int) -> None:
    study = quietly(100, study={"horizon_days": days})
    adsl = study.table("adsl")
    alive = adsl["DTHFL"].isna()
    assert (adsl.loc[alive, "t_followup_d"] == days).all()
    assert (study.outcomes["horizon_d"] == days).all()
    reported = study.outcomes.query("endpoint == 'crs_any_incidence'")["level"].unique().tolist()
    assert reported == ([1.0] if days == 1 else [7.0, 14.0, 28.0, 90.0])
    assert study.table("adcm")["t_start_d"].lt(days).all()
    if days == 1:
        assert (
            adsl["t_discharge_d"].isna().all()
            and (adsl.loc[alive, "ward_days"] + adsl.loc[alive, "icu_days"] == 1).all()
        )
    else:
        assert (adsl.loc[alive, "t_discharge_d"] < 90).mean() > 0.9


def test_adherence_none_and_all(quietly) -> None:
    """The rung at exactly grade 1 fires for nobody or for everybody; a policy without one does not notice."""
    severe = {"extends": "tocilizumab_first", "rules": {"g1_persist": None}}
    arms = [
        {"id": f"{name}_{who}", "policy": policy, "model": {"behaviour.adherence_grade1": share}}
        for name, policy in (("first", "tocilizumab_first"), ("later", severe))
        for who, share in (("none", 0.0), ("all", 1.0))
    ]
    study = quietly(300, arms=arms)
    doses = study.table("adcm")
    by_rule = doses.groupby("arm_id", observed=True)["rule_id"].agg(lambda rules: "g1_persist" in set(rules))
    assert by_rule.to_dict() == {
        "first_none": False,
        "first_all": True,
        "later_none": False,
        "later_all": False,
    }
    adsl = study.table("adsl")
    mg = adsl.pivot(index="subject", columns="arm_id", values="toci_mg")
    assert (mg["later_none"] == mg["later_all"]).all()
    assert not (mg["first_none"] == mg["first_all"]).all()
    assert (mg["first_none"] == mg["later_none"]).all()


def test_seven_arms(quietly, tmp_path: Path) -> None:
    """Every ready policy in one run: each arm against the reference, in files and figures."""
    names = [
        "asco_2021",
        "zuma1_c1_2",
        "zuma1_c4",
        "axi_label_2017",
        "severe_only",
        "tocilizumab_first",
        "no_treatment",
    ]
    study = quietly(
        60, tmp_path / "run", arms=[{"id": name, "policy": name} for name in names], reference="no_treatment"
    )
    verify(tmp_path / "run")
    assert study.table("adsl").groupby("arm_id", observed=True).size().to_dict() == dict.fromkeys(names, 60)
    assert study.table("adsl")["TRT01PN"].unique().tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert set(study.contrasts["arm_id"]) == set(names) - {"no_treatment"}
    assert set(study.contrasts["reference_arm"]) == {"no_treatment"}


def test_the_lightest_and_the_heaviest_body(quietly) -> None:
    """Labelled tocilizumab: 12 mg/kg below 30 kg, 8 mg/kg from there, never above 800 mg."""
    for weight, dose in ((9.0, 108.0), (29.9, 358.8), (30.0, 240.0), (140.0, 800.0)):
        study = quietly(
            20,
            population={"subjects": 20, "weight_kg": weight},
            arms=[{"id": "d0", "policy": "asco_2021", "prophylaxis": ["toci_d0"]}],
        )
        doses = study.table("adcm").query("CMDECOD == 'TOCILIZUMAB'")
        assert len(doses) >= 20
        assert doses["CMDOSE"].to_numpy() == pytest.approx(dose)


def test_a_cohort_one_subject_into_a_block(quietly) -> None:
    """A cohort that ends one subject into a block has that subject."""
    adsl = quietly(4097, outputs={"tables": ["adsl"]}).table("adsl")
    assert adsl.groupby("arm_id", observed=True)["subject"].max().tolist() == [4096, 4096]
    assert len(adsl) == 2 * 4097
