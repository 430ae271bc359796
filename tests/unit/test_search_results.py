"""Objectives by name, the table of candidates, the figure of the front, and the folder that keeps them."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from cartsim.analysis.endpoints import standard_endpoints
from cartsim.commands.search import split_names
from cartsim.errors import InvalidInput, OutputBroken
from cartsim.search.figure import draw_front, figure_files
from cartsim.search.labels import Candidate, show_value
from cartsim.search.objectives import Objective, columns_of, read_objectives
from cartsim.search.results import candidates_table
from cartsim.search.run import Settings, search

ARMS = ["standard", "early"]


class Points:
    """Design points with these ids, of a scenario that does not matter."""

    def __init__(self, *ids):
        self.ids = ids
        self.base = SimpleNamespace(id="s", resolved=lambda: {"id": "s", "run": {"seed": 1}})

    def __len__(self):
        return len(self.ids)

    def id(self, i):
        return self.ids[i]


MEANS = {0: (0.30, 5.0), 1: (0.38, 4.0), 2: (0.55, 2.0), 3: (0.50, 6.0), 4: (0.31, 5.2)}


def objective(id_, **more):
    return Objective(next(e for e in standard_endpoints() if e.id == id_), 30.0, **more)


def sample(candidate, first, count):
    rng = np.random.default_rng([first, count, 1])
    u, z = rng.random(count), rng.standard_normal(count)
    share, mean = MEANS[candidate]
    return np.column_stack([u < share, np.maximum(mean + z + 0.1 * z * candidate, 0)])


@pytest.fixture(scope="module")
def found():
    settings = Settings(
        0.95, 0.02, 20, reach=(1.0, None), sign=(1.0, 1.0), first=25, front=(0, 1), front_subjects=3000
    )
    return search(5, sample, settings)


@pytest.fixture(scope="module")
def table(found):
    candidates = [Candidate(i, f"hours: {i}", {"arms.early.policy.rules.g1.when.for_h": i}) for i in range(5)]
    return candidates_table(
        found, candidates, [objective("crs_ge3"), objective("icu_days")],
        scenario_id="s", arm_id="early", evidence_status={"crs_ge3": "assumed"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("id_", "values", "expected"),
    [
        ("crs_ge3", [0, 2, 3, 5], [0, 0, 1, 1]),
        ("death", [np.nan, 4.0], [0, 1]),
        ("crs_ge3_incidence", [np.nan, 29.0, 31.0, 30.0], [0, 1, 0, 1]),
        ("icu_days", [0.0, 2.5], [0.0, 2.5]),
        ("tocilizumab_ge2", [1, 2, 4], [0, 1, 1]),
    ],
)
def test_one_number_per_subject(id_, values, expected):
    chosen = objective(id_)
    assert chosen.numbers({chosen.endpoint.column: np.array(values)}).tolist() == expected


def test_a_missing_number_is_an_error():
    with pytest.raises(OutputBroken, match="no number"):
        objective("icu_days").numbers({"icu_days": np.array([1.0, np.nan])})


def test_what_a_subject_can_change_at_most():
    assert objective("crs_ge3").reach == 1.0 and objective("death").is_share
    assert objective("icu_days").reach == 30.0 and not objective("icu_days").is_share
    assert objective("steroid_mg").reach is None
    assert objective("steroid_mg", maximise=True).sign == -1.0


def test_targets_and_endpoints_are_read():
    arm, objectives = read_objectives(
        "outcome.crs_ge3.early",
        ["crs_ge3", "icans_ge3", "steroid_mg:min", "hospital_days:max"],
        ARMS,
        "lee2014",
        30.0,
    )
    assert arm == "early"
    assert [o.id for o in objectives] == ["crs_ge3", "icans_ge3", "steroid_mg", "hospital_days"]
    assert [o.maximise for o in objectives] == [False, False, False, True]
    assert objectives[0].endpoint.scale == "lee2014" and objectives[0].endpoint.view == "observed"
    assert columns_of(objectives) == (
        "crs_max_lee2014",
        "hospital_days",
        "icans_max_grade",
        "steroid_mg_dex_eq",
    )


@pytest.mark.parametrize(
    ("minimise", "pareto", "says", "mend"),
    [
        ("outcome.crs_g3.early", [], "crs_g3", "crs_ge3"),
        ("outcome.crs_ge3.earyl", [], "earyl", "early"),
        ("crs_ge3", [], "names no result", "outcome."),
        ("contrast.crs_ge3.early-standard", [], "one arm", "outcome.crs_ge3.early"),
        ("outcome.crs_ge3.early.halfwidth", [], "halfwidth", "outcome.crs_ge3.early"),
        ("outcome.crs_onset.early", [], "crs_onset", "every subject has"),
        ("outcome.hospital_days_median.early", [], "median", "every subject has"),
        ("outcome.crs_ge3.early", ["steroid_mgs"], "steroid_mgs", "steroid_mg"),
        ("outcome.crs_ge3.early", ["cost"], "cost", ""),
        ("outcome.crs_ge3.early", ["iec_hs"], "not in the model", ""),
        ("outcome.crs_ge3.early", ["icu_days", "icu_days"], "twice", "once"),
        ("outcome.crs_ge3.early", ["icu_days:least"], "least", "icu_days:max"),
        ("outcome.crs_ge3.early", ["crs_ge3:max", "icu_days"], "minimised and maximised", "crs_ge3"),
        ("outcome.crs_ge3.early", ["crs_ge3"], "two endpoints", "steroid_mg"),
    ],
)
def test_names_that_cannot_be_used_are_refused(minimise, pareto, says, mend):
    with pytest.raises(InvalidInput) as told:
        read_objectives(minimise, pareto, ARMS, "astct2019", 30.0)
    assert says in str(told.value)
    assert mend in (told.value.mend or "")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (24.0, "24"),
        (">=6", ">=6"),
        ([], "none"),
        (["toci_d1", "dex_d0_2"], "toci_d1 + dex_d0_2"),
        ({"extends": "asco_2021", "rules": {}}, "asco_2021"),
        (None, "null"),
        ({"drug": "tocilizumab", "repeat_h": 8, "max_doses": 4}, '{"drug": "tocilizumab", "repeat_h": ...'),
    ],
)
def test_settings_are_shown_in_a_few_characters(value, shown):
    assert show_value(value) == shown


def test_names_in_brackets_keep_their_commas():
    assert split_names("crs_ge3[lee2014, latent], icu_days,") == ("crs_ge3[lee2014, latent]", "icu_days")
    assert split_names(None) == ()


def test_the_table_says_who_and_why(found, table):
    rows = {(r["design_id"], r["endpoint"]): r for r in table.to_pylist()}
    assert len(rows) == 10 == table.num_rows
    best = rows[0, "crs_ge3"]
    assert best["status"] == "best" and best["eliminated_at"] is None and best["front"] == "on the front"
    assert best["difference"] == best["difference_lower"] == best["difference_upper"] == 0
    assert best["target"] == 1 and rows[0, "icu_days"]["target"] == 0
    assert best["evidence_status"] == "assumed"
    loser = rows[3, "crs_ge3"]
    assert loser["status"] == "eliminated" and loser["eliminated_by"] == 0 and loser["eliminated_at"] == 500
    assert loser["front"] == "dominated" and loser["dominated_by"] in (0, 1, 2, 4)
    assert loser["difference"] == pytest.approx(0.2, abs=0.05) and loser["difference_lower"] > 0
    assert loser["n_units"] < best["n_units"] == 3000
    assert json.loads(loser["settings"]) == {"arms.early.policy.rules.g1.when.for_h": 3}
    for number in range(5):
        row = rows[number, "icu_days"]
        values = found.samples[number][:, 1]
        assert row["n_units"] == len(values) and row["value"] == pytest.approx(values.mean())
        assert row["lower"] < row["value"] < row["upper"]


def test_the_figure_gives_the_same_bytes_and_carries_its_notes(table):
    titles = {"crs_ge3": "CRS", "icu_days": "ICU"}
    first, second = figure_files(table, titles, "Title"), figure_files(table, titles, "Title")
    assert first == second and sorted(first) == ["front.png", "front.svg"]
    assert first["front.png"].startswith(b"\x89PNG") and b"dc:date" not in first["front.svg"]
    figure = draw_front(table, titles, "Title")
    said = " ".join(text.get_text() for text in figure.texts)
    assert "3,000 subjects" in said and "not bedside advice" in said
    assert figure.axes[0].get_xlabel() == "CRS, %"


def test_the_folder_is_of_one_search(tmp_path, monkeypatch):
    from cartsim.search.folder import ANSWER, open_folder, write_answer
    from cartsim.store.manifest import Identity
    from cartsim.store.place import Place
    from cartsim.store.provenance import Provenance

    def provenance(hash_):
        return Provenance("s", "text", hash_, 1, "0.1", None, {"numpy": "2"}, "e", {"assumed": 3})

    place = Place.of(tmp_path / "search")
    open_folder(place, Points("a", "b"), provenance("h1"), {"minimise": "x"}, fresh=False)
    place.write_bytes("samples/1.parquet", b"kept")
    place.write_bytes("candidates.parquet", b"of the last question")
    open_folder(place, Points("a", "b"), provenance("h1"), {"minimise": "y"}, fresh=False)
    assert place.names() == ["samples/1.parquet", "scenario.resolved.yaml", ANSWER]
    said = json.loads(place.read_text(ANSWER))
    assert said["status"] == "partial" and said["question"] == {"minimise": "y"}
    for other, why in ((provenance("h2"), "changed"), (provenance("h1"), "come from a file")):
        with pytest.raises(InvalidInput, match="another scenario or version") as told:
            open_folder(place, Points("a", "c"), other, {}, fresh=False)
        assert why in (told.value.why or "") and "--fresh" in (told.value.mend or "")
    assert place.exists("samples/1.parquet")
    place.write_text("notes.txt", "mine")
    # killed while it starts over, a search is still a search
    with monkeypatch.context() as patch:
        patch.setattr(Place, "delete", lambda self, name: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            open_folder(place, Points("a", "c"), provenance("h2"), {}, fresh=True)
    assert place.exists(ANSWER)
    open_folder(place, Points("a", "c"), provenance("h2"), {}, fresh=True)
    assert place.names() == ["notes.txt", "scenario.resolved.yaml", ANSWER]
    write_answer(place, Identity.of(provenance("h2")), Points("a", "c"), {}, {"status": "complete"})
    assert json.loads(place.read_text(ANSWER))["status"] == "complete"
    place.write_text(ANSWER, "{")
    with pytest.raises(OutputBroken, match="damaged"):
        open_folder(place, Points("a", "c"), provenance("h2"), {}, fresh=False)


def test_other_peoples_files_are_left_alone(tmp_path):
    from cartsim.search.folder import open_folder
    from cartsim.store.place import Place

    (tmp_path / "thesis.txt").write_text("mine")
    for fresh in (False, True):
        with pytest.raises(InvalidInput, match="holds other files"):
            open_folder(Place.of(tmp_path), None, _any_provenance(), {}, fresh=fresh)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def _any_provenance():
    from cartsim.store.provenance import Provenance

    return Provenance("s", "text", "h", 1, "0.1", None, {}, "e", {})


def test_the_declared_table_round_trips(table, tmp_path):
    from cartsim.store.files import encode

    data = encode("candidates", table, _any_provenance())
    assert data == encode("candidates", table, _any_provenance())
    import pyarrow.parquet as pq

    back = pq.read_table(pa.BufferReader(data))
    assert back.num_rows == 10 and back.schema.field("difference").metadata[b"label"] == b"Minus the best"
