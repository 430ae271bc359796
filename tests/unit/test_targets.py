"""Names of results: what they mean, what they find in tables, and what is said of a wrong one."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cartsim.analysis.columns import CONTRAST_TYPES, OUTCOME_TYPES
from cartsim.analysis.endpoints import NOT_OFFERED, standard_endpoints
from cartsim.analysis.targets import COLUMNS, Condition, Target
from cartsim.errors import InvalidInput

ARMS = ("standard", "early", "low-dose", "low-dose-early")


def parse(text: str, **more) -> Target:
    return Target.parse(text, ARMS, reference="standard", **more)


OBSERVED = ("astct2019", "observed")


@pytest.mark.parametrize(
    ("text", "arm", "key", "summary"),
    [
        ("contrast.crs_ge3.early-standard", "early", ("crs_ge3", *OBSERVED), "risk difference"),
        (
            "contrast.crs_ge3.low-dose-early-standard",
            "low-dose-early",
            ("crs_ge3", *OBSERVED),
            "risk difference",
        ),
        ("outcome.crs_ge3[latent].low-dose", "low-dose", ("crs_ge3", "astct2019", "latent"), "proportion"),
        (
            "outcome.crs_ge3[lee2014, latent].early.mcse",
            "early",
            ("crs_ge3", "lee2014", "latent"),
            "proportion",
        ),
        ("contrast.icans_ge3.early-standard.lower", "early", ("icans_ge3", *OBSERVED), "risk difference"),
        ("contrast.hospital_days.early-standard", "early", ("hospital_days", None, None), "mean difference"),
        ("outcome.crs_onset.standard.halfwidth", "standard", ("crs_onset", *OBSERVED), "median"),
        ("outcome.death.early", "early", ("death", None, None), "proportion"),
    ],
)
def test_names_are_read_and_written_back(text, arm, key, summary):
    target = parse(text)
    assert (target.arm, target.endpoint.key, target.summary) == (arm, key, summary)
    assert str(target) == text
    assert parse(str(target)) == target


def test_what_is_usual_is_left_out():
    """The scenario's own scale, the observed view and the value need no words."""
    assert (
        str(parse("contrast.crs_ge3[astct2019, observed].early-standard.value"))
        == "contrast.crs_ge3.early-standard"
    )
    other = parse("outcome.crs_ge3[ctcae5].early", crs_scale="ctcae5")
    assert other.endpoint.scale == "ctcae5" and str(other) == "outcome.crs_ge3.early"
    assert parse("outcome.crs_ge3.early", endpoints=standard_endpoints("penn")).endpoint.scale == "penn"


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(standard_endpoints()), st.sampled_from(ARMS[1:]), st.sampled_from(COLUMNS), st.booleans()
)
def test_every_endpoint_has_a_name(endpoint, arm, column, contrast):
    contrast = contrast and endpoint.contrastable
    words = ", ".join(w for w in (endpoint.scale, endpoint.view) if w)
    place = f"{arm}-standard" if contrast else arm
    text = f"{'contrast' if contrast else 'outcome'}.{endpoint.id}{f'[{words}]' if words else ''}.{place}.{column}"
    target = parse(text)
    assert (target.endpoint, target.arm, target.column) == (endpoint, arm, column)
    assert parse(str(target)) == target


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("contrst.crs_ge3.early-standard", "contrast"),
        ("contrast.crs_g3.early-standard", "crs_ge3"),
        ("contrast.crs_ge3.erly-standard", "early-standard"),
        ("contrast.crs_ge3.standard-early", "early-standard"),
        ("contrast.crs_ge3.early-low-dose", "early-standard"),
        ("outcome.crs_ge3.standrd", "standard"),
        ("outcome.crs_ge3", "one of: standard, early, low-dose, low-dose-early"),
        ("outcome.crs_ge3[latnt].early", "latent"),
        ("outcome.crs_ge3[day 14].early", "one of"),
        ("outcome.crs_any_incidence[latent].early", "one of"),
        ("outcome.crs_ge3.early.halfwith", "halfwidth"),
        ("contrast.crs_onset.early-standard", "outcome.crs_onset.early"),
        ("nothing", "contrast.crs_ge3"),
    ],
)  # fmt: skip
def test_wrong_names_get_the_nearest(text, mend):
    with pytest.raises(InvalidInput) as caught:
        parse(text)
    assert caught.value.exit_code == 3
    assert str(caught.value.mend).find(mend) >= 0, caught.value.mend


def test_what_the_model_lacks_is_said():
    with pytest.raises(InvalidInput) as caught:
        parse("outcome.iec_hs.early")
    assert caught.value.why == NOT_OFFERED["iec_hs"]


def test_one_arm_has_no_contrast():
    with pytest.raises(InvalidInput, match="pair of arms"):
        Target.parse("contrast.crs_ge3.early-standard", ["early"], reference="early")


def table(types, rows) -> pa.Table:
    arrays = {name: pa.array([row.get(name) for row in rows], type_.value_type).dictionary_encode()
              if pa.types.is_dictionary(type_) else pa.array([row.get(name) for row in rows], type_)
              for name, type_ in types.items()}  # fmt: skip
    return pa.table(arrays)


def results() -> tuple[pa.Table, pa.Table]:
    """Three design points, falling, with look-alikes beside every row that is asked for."""
    base = {
        "endpoint": "crs_ge3",
        "scale": "astct2019",
        "view": "observed",
        "horizon_d": 30.0,
        "n_units": 100,
    }
    outcomes, contrasts = [], []
    for point in (2, 1, 0):
        row = base | {"design_id": point, "arm_id": "early", "summary": "proportion", "level": 3.0}
        numbers = {
            "value": 0.1 * point,
            "mcse": 0.01,
            "lower": 0.1 * point - 0.02,
            "upper": 0.1 * point + 0.04,
        }
        outcomes += [
            row | numbers,
            row | {"arm_id": "standard"},
            row | {"view": "latent"},
            row | {"scale": "penn"},
        ]
        outcomes += [row | {"summary": "share"}]
        days = base | {"endpoint": "crs_any_incidence", "arm_id": "early", "summary": "cumulative incidence"}
        outcomes += [days | {"design_id": point, "level": day, "value": day} for day in (14.0, 28.0, 30.0)]
        row = row | numbers | {"summary": "risk difference", "reference_arm": "standard"}
        contrasts += [row | {"summary": "log risk ratio"}, row, row | {"arm_id": "low-dose", "lower": None}]
    return table(OUTCOME_TYPES, outcomes), table(CONTRAST_TYPES, contrasts)


def test_a_name_finds_its_row():
    outcomes, contrasts = results()
    row = parse("outcome.crs_ge3.early").pick(outcomes, contrasts, 2)
    assert (row["design_id"], row["arm_id"], row["view"], row["summary"]) == (
        2,
        "early",
        "observed",
        "proportion",
    )
    assert parse("contrast.crs_ge3.early-standard").pick(outcomes, contrasts)["summary"] == "risk difference"
    assert parse("outcome.crs_any_incidence.early").pick(outcomes, contrasts)["level"] == 30.0
    assert parse("outcome.crs_any_incidence[day 14].early").pick(outcomes, contrasts)["level"] == 14.0
    halfwidth = parse("outcome.crs_ge3.early.halfwidth")
    assert halfwidth.read(halfwidth.pick(outcomes, contrasts, 1)) == pytest.approx(0.03)
    empty = parse("contrast.crs_ge3.low-dose-standard.halfwidth")
    assert empty.read(empty.pick(outcomes, contrasts)) is None


def test_values_of_every_design_point():
    outcomes, contrasts = results()
    values = parse("outcome.crs_ge3.early.halfwidth").values(outcomes)
    assert values.design_id.tolist() == [0, 1, 2]
    np.testing.assert_allclose(values.asked, 0.03)
    np.testing.assert_allclose(values.value, [0, 0.1, 0.2])
    assert values.n.tolist() == [100, 100, 100]
    missing = parse("contrast.crs_ge3.low-dose-standard.halfwidth").values(contrasts)
    assert np.isnan(missing.asked).all() and np.isnan(missing.lower).all()


def test_a_row_that_is_not_there_is_said():
    outcomes, contrasts = results()
    with pytest.raises(InvalidInput, match=r"no row for `outcome\.death\.early` at design point 0"):
        parse("outcome.death.early").pick(outcomes, contrasts)
    with pytest.raises(InvalidInput, match="any design point"):
        parse("outcome.death.early").values(outcomes)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("contrast.crs_ge3.early-standard.halfwidth <= 0.005", None),
        ("contrast.crs_ge3.early-standard.mcse < 0.0025", None),
        (" contrast.crs_ge3.early-standard<=5e-3 ", "contrast.crs_ge3.early-standard.halfwidth <= 0.005"),
        ("outcome.crs_ge3[latent].early.value<0.1", "outcome.crs_ge3[latent].early.value < 0.1"),
    ],
)
def test_conditions_are_read_and_written_back(text, canonical):
    condition = Condition.parse(text, ARMS, reference="standard")
    assert str(condition) == (canonical or text)
    assert Condition.parse(str(condition), ARMS, reference="standard") == condition


def test_conditions_hold_or_not():
    loose = Condition.parse("outcome.crs_ge3.early <= 0.01", ARMS)
    strict = Condition.parse("outcome.crs_ge3.early < 0.01", ARMS)
    assert loose.holds(0.01) and not strict.holds(0.01) and strict.holds(0.009)
    assert not loose.holds(None) and not loose.holds(float("nan"))


@pytest.mark.parametrize(
    "text",
    ["", "outcome.crs_ge3.early", "outcome.crs_ge3.early >= 1", "outcome.crs_ge3.early <= many",
     "outcome.crs_ge3.early <= nan", "outcome.crs_ge3.early == 1", "<= 1", "outcome.crs_ge3.early <= inf"],
)  # fmt: skip
def test_wrong_conditions(text):
    with pytest.raises(InvalidInput) as caught:
        Condition.parse(text, ARMS)
    assert caught.value.mend
