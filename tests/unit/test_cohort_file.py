"""A user's own patients: what a file may say, what it is refused for, which patient a subject is, and what is drawn."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clinic_builder import REGISTRY, make_par
from scipy import stats

from cartsim.cohort import draw_cohort, margins_of
from cartsim.errors import InvalidInput
from cartsim.evidence.population import NAMES, Kind
from cartsim.given import Known, draw_known
from cartsim.scenario.load import load_scenario
from cartsim.scenario.patients import Patients, read_patients

REJECT = 1e-6
HEAD = (
    "id,age_years,sex,weight_kg,high_burden,ldh_u_per_l,ferritin_ng_per_ml,crp_mg_per_l,"
    "platelets_1e9_per_l,creatinine_mg_per_dl,prior_neuro"
)
ROWS = (
    "a,61,M,80,1,520,900,40,90,1.1,0",
    "b,55,F,64,0,210,300,8,200,0.7,0",
    "c,70,M,71,0,240,420,15,150,0.9,1",
)
PRODUCT = "axi-cel"
MARGINS = margins_of(REGISTRY.population(PRODUCT))
PAR = make_par(PRODUCT)

Probe = Callable[..., dict[str, Any]]


def write(folder: Path, *lines: str, name: str = "mine.csv") -> Path:
    file = folder / name
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def scenario_of(probe: Probe, folder: Path, **population: Any) -> Any:
    data = probe()
    data["population"] = {"file": "mine.csv", **population}
    return load_scenario(data, folder=folder)


def told(error: pytest.ExceptionInfo[InvalidInput]) -> str:
    return str(error.value)


def test_a_file_becomes_the_subjects(tmp_path: Path, probe: Probe) -> None:
    write(tmp_path, HEAD, *ROWS)
    scenario = scenario_of(probe, tmp_path)
    assert scenario.subjects == 3
    cohort, _ = draw_known(PAR, MARGINS, 7, 0, 0, 3, known=scenario.patients.subjects(7, 0, 0, 3))
    assert cohort["age_years"].tolist() == [61.0, 55.0, 70.0]
    assert cohort["male"].tolist() == [1, 0, 1]
    assert cohort["high_burden"].tolist() == [1, 0, 0]
    assert cohort["prior_neuro"].tolist() == [0, 0, 1]
    assert cohort["ferritin_ng_per_ml"].tolist() == [900.0, 300.0, 420.0]
    assert cohort["easix"] == pytest.approx([520 * 1.1 / 90, 210 * 0.7 / 200, 240 * 0.9 / 150])
    assert scenario.patients.ids(cohort["source_row"]).to_pylist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("lines", "says", "where"),
    [
        ((HEAD.replace(",crp_mg_per_l", ""), *(r.replace(",40,", ",") for r in ROWS[:1])),
         "column `crp_mg_per_l` is missing", "mine.csv crp"),
        ((HEAD.replace("id,", "", 1), ROWS[0][2:]), "column `id` is missing", "mine.csv:1"),
        ((HEAD.replace("ldh_u_per_l", "ldh_ukat_per_l"), *ROWS), "U/L", "mine.csv:1 ldh_ukat_per_l"),
        ((HEAD.replace("weight_kg", "weight_lb"), *ROWS), "call it weight_kg", "mine.csv:1 weight_lb"),
        ((HEAD.replace("weight_kg", "weight"), *ROWS), "weight_kg, or sampling_weight", "mine.csv:1 weight"),
        ((HEAD.replace("prior_neuro", "prior_nuero"), *ROWS), "prior_neuro", "mine.csv:1 prior_nuero"),
        ((HEAD.replace("sex", "SEX"), *ROWS), "spelt in another way", "mine.csv:1 SEX"),
        ((HEAD + ",age_years", *(r + ",5" for r in ROWS)), "the column is repeated", "mine.csv:1 age_years"),
        ((HEAD + ",male", *(r + ",1" for r in ROWS)), "say the same thing", "mine.csv:1 male"),
        ((HEAD, ROWS[0], ROWS[1].replace(",0.7,", ",70,"), ROWS[2]),
         "between 0.05 and 25 mg/dL", "mine.csv:3 creatinine"),
        ((HEAD, ROWS[0], ROWS[1], ROWS[2].replace("c,70", "c,seventy")), "got 'seventy'", "mine.csv:4 age_years"),
        ((HEAD, ROWS[0], ROWS[1].replace(",F,", ",X,")), "M or F", "mine.csv:3 sex"),
        ((HEAD, ROWS[0], "", ROWS[1].replace("b,", "a,", 1)), "id a stands on line 2 already", "mine.csv:4 id"),
        ((HEAD, ROWS[0], ROWS[1].replace("b,", ",", 1)), "no id", "mine.csv:3 id"),
        ((HEAD, ROWS[0], ROWS[1].replace(",300,", ",,")),
         "no value for 1 of 2 patients, first for id b", "mine.csv:3 ferritin"),
        ((HEAD, ROWS[0], ROWS[1].replace(",300,", ",inf,")), "infinite", "mine.csv:3 ferritin"),
        ((HEAD, ROWS[0], ROWS[1] + ",9"), "12 cells, and the first line names 11", "mine.csv:3"),
        ((HEAD, ROWS[0], '"b,55'), "close every quote", "mine.csv:3"),
        ((HEAD,), "the cohort has no patient", "mine.csv"),
        (("",), "the first line must name the columns", "mine.csv:1"),
        ((HEAD.replace(",", ";"), ROWS[0].replace(",", ";")), "separated by semicolons", "mine.csv:1"),
        ((HEAD + ",sampling_weight", ROWS[0] + ",1", ROWS[1] + ",NaN"),
         "no sampling weight", "mine.csv:3 sampling_weight"),
        ((HEAD + ",sampling_weight", ROWS[0] + ",1", ROWS[1] + ",-2"),
         "cannot be negative", "mine.csv:3 sampling_weight"),
        ((HEAD + ",sampling_weight", ROWS[0] + ",0", ROWS[1] + ",0"), "all sampling weights are 0", "mine.csv:2"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_in_words(
    tmp_path: Path, probe: Probe, lines: tuple[str, ...], says: str, where: str
) -> None:
    write(tmp_path, *lines)
    with pytest.raises(InvalidInput) as error:
        scenario_of(probe, tmp_path, sample="with_replacement")
    assert says in told(error) and where in told(error)
    assert len(error.value.problems) == 1


def test_what_is_no_table_is_said_to_be_none(tmp_path: Path, probe: Probe) -> None:
    (tmp_path / "mine.csv").write_bytes(b"id,age_years\nP1,\xff\n")
    with pytest.raises(InvalidInput, match="not a table") as error:
        scenario_of(probe, tmp_path)
    assert "mine.csv:2" in told(error)
    (tmp_path / "mine.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(InvalidInput, match="not a table"):
        scenario_of(probe, tmp_path, file="mine.parquet")
    with pytest.raises(InvalidInput, match="does not exist") as error:
        scenario_of(probe, tmp_path, file="mine2.csv")
    assert "mine.csv" in (error.value.mend or "")
    with pytest.raises(InvalidInput, match="names no table"):
        scenario_of(probe, tmp_path, file="mine.xlsx")


@pytest.mark.parametrize(
    ("population", "says"),
    [
        ({"subjects": 2}, "2 subjects of a cohort of 3 patients"),
        ({"subjects": 4, "sample": "without_replacement"}, "4 subjects, and the cohort has 3 patients"),
        ({"age_years": 50}, "age_years is a column of the cohort file and given here too"),
        ({"male_share": 0.5}, "male is a column"),
        ({"high_burden_share": 0.5}, "burden is a column"),
        ({"sha256": "0" * 64}, "not the one that this scenario was made with"),
    ],
)
def test_what_does_not_fit_the_file_is_refused(
    tmp_path: Path, probe: Probe, population: dict[str, Any], says: str
) -> None:
    write(tmp_path, HEAD, *ROWS)
    with pytest.raises(InvalidInput) as error:
        scenario_of(probe, tmp_path, **population)
    assert says in told(error)


def test_keys_of_a_file_need_a_file(probe: Probe) -> None:
    with pytest.raises(InvalidInput, match="not valid") as error:
        load_scenario(probe() | {"population": {"sample": "with_replacement"}})
    assert "belongs to a cohort file" in told(error)


def test_weights_go_with_sampling(tmp_path: Path, probe: Probe) -> None:
    write(tmp_path, HEAD + ",sampling_weight", *(row + ",1" for row in ROWS))
    with pytest.raises(InvalidInput) as error:
        scenario_of(probe, tmp_path)
    assert "takes each patient once" in told(error)


def test_what_the_file_lacks_may_stand_in_the_scenario(tmp_path: Path, probe: Probe) -> None:
    write(tmp_path, HEAD.removesuffix(",prior_neuro"), *(row[:-2] for row in ROWS))
    with pytest.raises(InvalidInput, match="do not fit") as error:
        scenario_of(probe, tmp_path)
    assert "population.prior_neuro_share" in told(error)
    scenario = scenario_of(probe, tmp_path, prior_neuro_share=0.1)
    assert scenario.patients.notes() == []


def test_other_columns_are_left_unread_and_named(tmp_path: Path, probe: Probe) -> None:
    write(tmp_path, HEAD + ",hospital", *(row + ",North" for row in ROWS))
    assert scenario_of(probe, tmp_path).patients.notes() == ["mine.csv: columns not read: hospital"]


def test_missing_values_are_drawn_and_counted(tmp_path: Path, probe: Probe) -> None:
    write(tmp_path, HEAD, ROWS[0], ROWS[1].replace(",300,", ",NA,"), ROWS[2].replace("c,70", "c,"))
    scenario = scenario_of(probe, tmp_path, missing="draw")
    assert scenario.patients.notes() == [
        "mine.csv: of 3 patients, drawn given what is known: age_years of 1, ferritin_ng_per_ml of 1"
    ]


def test_csv_and_parquet_of_the_same_patients_are_the_same(tmp_path: Path) -> None:
    write(tmp_path, HEAD, *ROWS)
    one, _ = read_patients(tmp_path / "mine.csv")
    columns = dict(zip(HEAD.split(","), zip(*(row.split(",") for row in ROWS), strict=True), strict=True))
    table = pa.table(
        {
            name: values if name in ("id", "sex") else [float(value) for value in values]
            for name, values in columns.items()
        }
    )
    table = table.set_column(2, "sex", table["sex"].dictionary_encode())
    pq.write_table(table, tmp_path / "mine.parquet")
    other, _ = read_patients(tmp_path / "mine.parquet")
    assert np.array_equal(one.values, other.values, equal_nan=True)
    assert np.array_equal(one.high_burden, other.high_burden)
    assert one.ids.to_pylist() == other.ids.to_pylist()


def test_a_cohort_is_its_content_and_not_its_name(tmp_path: Path, probe: Probe) -> None:
    write(tmp_path, HEAD, *ROWS)
    first = scenario_of(probe, tmp_path)
    (tmp_path / "again").mkdir()
    write(tmp_path / "again", HEAD, *ROWS, name="theirs.csv")
    data = probe() | {"population": {"file": "again/theirs.csv"}}
    moved = load_scenario(data, folder=tmp_path)
    assert moved.hash() == first.hash()
    assert moved.resolved()["population"]["file"] == "again/theirs.csv"
    write(tmp_path / "again", HEAD, *ROWS[:2], ROWS[2].replace("c,70", "c,71"), name="theirs.csv")
    assert load_scenario(data, folder=tmp_path).hash() != first.hash()
    assert moved.patients is not None
    with pytest.raises(InvalidInput, match="not the one"):
        moved.patients.read()


def test_a_resolved_scenario_gives_the_same_again(tmp_path: Path, probe: Probe) -> None:
    write(tmp_path, HEAD, *ROWS)
    first = scenario_of(probe, tmp_path, sample="with_replacement", subjects=7)
    again = load_scenario(first.resolved(), folder=tmp_path)
    assert again.hash() == first.hash() and again.subjects == 7


# --- which patient a subject is -------------------------------------------------------------------------------------


def patients_of(weights: list[float] | None, rows: int = 50) -> Patients:
    values = np.full((rows, len(NAMES)), np.nan)
    given = None if weights is None else np.array(weights)
    return Patients(pa.array([str(i) for i in range(rows)]), values, np.full(rows, np.nan), given, ())


@pytest.mark.parametrize("how", ["all", "with_replacement", "without_replacement"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_subject_is_the_same_patient_however_the_work_is_cut(how: str, weighted: bool) -> None:
    cohort = patients_of([1.0 + i % 3 for i in range(50)] if weighted else None)
    whole = cohort.rows(how, 7, 0, 0, 50)
    pieces = ((0, 7), (7, 30), (37, 13))
    weights = [1.0 + i % 3 for i in range(50)] if weighted else None
    cut = [patients_of(weights).rows(how, 7, 0, first, count) for first, count in pieces]
    assert np.array_equal(whole, np.concatenate(cut))
    if how != "with_replacement":
        assert sorted(whole.tolist()) == list(range(50))
        with pytest.raises(InvalidInput, match="there is no subject 50"):
            cohort.rows(how, 7, 0, 40, 11)
    if how != "all":
        assert not np.array_equal(whole, cohort.rows(how, 7, 1, 0, 50))
        assert not np.array_equal(whole, cohort.rows(how, 8, 0, 0, 50))


def test_sampling_with_replacement_follows_the_weights() -> None:
    weights = [0.0, 1.0, 0.0, 2.0, 5.0, 0.0]
    found = np.bincount(patients_of(weights, 6).rows("with_replacement", 7, 0, 0, 80_000), minlength=6)
    assert found[[0, 2, 5]].tolist() == [0, 0, 0]
    shares = np.array([1.0, 2.0, 5.0]) / 8.0
    print("shares", found[[1, 3, 4]] / 80_000)
    assert stats.chisquare(found[[1, 3, 4]], shares * 80_000).pvalue > REJECT


def test_sampling_without_replacement_takes_the_first_by_weight() -> None:
    weights = [1.0, 3.0, 0.0, 6.0]
    cohort = patients_of(weights, 4)
    first = [int(cohort.rows("without_replacement", 7, replicate, 0, 1)[0]) for replicate in range(4000)]
    found = np.bincount(first, minlength=4)
    print("first", found / 4000)
    assert found[2] == 0 and cohort.available == 3
    assert stats.chisquare(found[[0, 1, 3]], np.array([0.1, 0.3, 0.6]) * 4000).pvalue > REJECT


# --- what is drawn of a patient -------------------------------------------------------------------------------------


def plain(count: int = 4000, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
    return draw_cohort(PAR, MARGINS, seed, 0, 0, count)


def known_of(cohort: np.ndarray, *names: str, flag: bool = False) -> Known:
    values = np.full((len(cohort), len(NAMES)), np.nan)
    for name in names:
        values[:, NAMES.index(name)] = cohort[name]
    high = cohort["high_burden"].astype("f8") if flag else np.full(len(cohort), np.nan)
    return Known(values, high, np.arange(len(cohort)))


def test_nothing_known_is_the_subject_as_ever() -> None:
    cohort, subjects = plain()
    for known in (None, Known(np.full((1, len(NAMES)), np.nan), np.full(1, np.nan), np.zeros(4000, "i8"))):
        same, constants = draw_known(PAR, MARGINS, 7, 0, 0, 4000, known=known)
        assert same.tobytes() == cohort.tobytes() and constants.tobytes() == subjects.tobytes()


def test_everything_known_gives_back_the_scores() -> None:
    cohort, _ = plain()
    found, _ = draw_known(PAR, MARGINS, 99, 0, 0, 4000, known=known_of(cohort, *NAMES))
    for name in NAMES:
        assert np.array_equal(found[name], cohort[name])
    margins = REGISTRY.population(PRODUCT).margins
    held = np.ones(4000, bool)
    for name, margin in zip(NAMES, margins, strict=True):
        if margin.kind in (Kind.LOGNORMAL, Kind.TRUNCNORM) and name != "burden":
            low, high = np.quantile(cohort[name], [0.01, 0.99])
            held &= (cohort[name] > low) & (cohort[name] < high)
    assert found["risk"][held] == pytest.approx(cohort["risk"][held], abs=1e-9)


@pytest.mark.parametrize("missing", ["ferritin_ng_per_ml", "platelets_1e9_per_l", "burden", "weight_kg"])
def test_what_is_drawn_given_the_rest_restores_the_joint_distribution(missing: str) -> None:
    """Patients of the population with one covariate taken away and drawn again are patients of the population."""
    cohort, _ = plain(20_000)
    rest = [name for name in NAMES if name != missing]
    found, _ = draw_known(PAR, MARGINS, 99, 0, 0, 20_000, known=known_of(cohort, *rest))
    assert stats.ks_2samp(found[missing], cohort[missing]).pvalue > REJECT
    for other in ("ldh_u_per_l", "crp_mg_per_l", "creatinine_mg_per_dl", "age_years"):
        if other == missing:
            continue
        pair = [stats.spearmanr(c[missing], c[other]).statistic for c in (found, cohort)]
        print(missing, other, pair)
        # the two estimates share one side, so that this is a generous bound on their difference
        assert abs(np.arctanh(pair[0]) - np.arctanh(pair[1])) < 5.0 * np.sqrt(2.0 / 20_000) * 1.06


def test_a_burden_known_as_high_or_not_lies_on_that_side() -> None:
    cohort, _ = plain(20_000)
    rest = [name for name in NAMES if name != "burden"]
    found, _ = draw_known(PAR, MARGINS, 99, 0, 0, 20_000, known=known_of(cohort, *rest, flag=True))
    assert np.array_equal(found["high_burden"], cohort["high_burden"])
    assert np.array_equal(found["burden"] > MARGINS["burden_cut"][0], found["high_burden"] == 1)
    assert stats.ks_2samp(found["burden"], cohort["burden"]).pvalue > REJECT


def test_a_patient_is_drawn_the_same_whatever_the_others_lack() -> None:
    cohort, _ = plain(300)
    known = known_of(cohort, "age_years", "ldh_u_per_l")
    known.values[::3, NAMES.index("ldh_u_per_l")] = np.nan
    whole, constants = draw_known(PAR, MARGINS, 99, 0, 0, 300, known=known)
    for first, count in ((0, 1), (17, 5), (250, 50)):
        part = Known(known.values, known.high_burden, np.arange(first, first + count))
        cut, same = draw_known(PAR, MARGINS, 99, 0, first, count, known=part)
        assert cut.tobytes() == whole[first : first + count].tobytes()
        assert same.tobytes() == constants[first : first + count].tobytes()


def test_sicker_patients_have_a_higher_risk_and_extremes_end() -> None:
    median = {
        name: np.exp(margin.p1) if margin.kind is Kind.LOGNORMAL else 0.0
        for name, margin in zip(NAMES, REGISTRY.population(PRODUCT).margins, strict=True)
    }
    markers = ("ldh_u_per_l", "ferritin_ng_per_ml", "crp_mg_per_l")
    values = np.full((3, len(NAMES)), np.nan)
    for row, factor in enumerate((1.0, 5.0, 1e4)):
        for name in markers:
            values[row, NAMES.index(name)] = median[name] * factor
        values[row, NAMES.index("burden")] = 0.0
        values[row, NAMES.index("platelets_1e9_per_l")] = median["platelets_1e9_per_l"]
    known = Known(values, np.full(3, np.nan), np.arange(3))
    risk = draw_known(PAR, MARGINS, 7, 0, 0, 3, known=known)[0]["risk"]
    assert risk[0] < risk[1] < risk[2]
    weights = MARGINS["risk_weights"][0]
    most = sum(weights[NAMES.index(name)] for name in markers) * 3.0
    assert risk[2] - most == pytest.approx(0.0, abs=0.02)  # medians of cut margins are not exactly at score 0
