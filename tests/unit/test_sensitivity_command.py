"""The command on stored runs: values as the analysis has them, files that the manifest vouches for, and refusals."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from cartsim.commands.sensitivity import sensitivity
from cartsim.errors import InvalidInput, Unreachable
from cartsim.store.blocks import read_receipts
from cartsim.store.manifest import read_manifest, rewrite
from cartsim.store.place import Place
from cartsim.store.reader import read_table, verify
from cartsim.study import run

RESPONSE, WARD = "model.overrides.tocilizumab.response_severity", "monitoring.ward_h"
TARGET = "contrast.crs_ge3.none-asco"


def swept(probe, sweep, **changes):
    outputs = {"tables": [], "endpoints": ["crs_ge3", "icu_days"]}
    scenario = probe(60, run={"seed": 7, "replicates": 2}, outputs=outputs, reference="asco", **changes)
    return scenario | {"sweep": sweep}


@pytest.fixture(scope="module")
def one_at_a_time(probe, tmp_path_factory):
    out = tmp_path_factory.mktemp("oat") / "run"
    axes = {RESPONSE: {"low": 0.0, "high": 1.0, "steps": 4, "label": "Response"}, WARD: [3, 6, 24]}
    run(swept(probe, {"method": "one_at_a_time", "axes": axes}), out, workers=1)
    return out


@pytest.fixture(scope="module")
def saltelli(probe, tmp_path_factory):
    out = tmp_path_factory.mktemp("saltelli") / "run"
    axes = {RESPONSE: {"low": 0.0, "high": 1.0}, WARD: {"low": 2, "high": 24}}
    run(swept(probe, {"method": "saltelli", "points": 8, "axes": axes}), out, workers=1, block=600)
    return out


def said(capsys, run_, *targets):
    sensitivity(str(run_), targets, as_json=True)
    return json.loads(capsys.readouterr().out)


def test_values_are_those_of_the_result_tables(one_at_a_time, capsys):
    """Low, high and base of a tornado are rows of contrasts.parquet, to the last bit, interval included."""
    found = said(capsys, one_at_a_time, TARGET)["targets"][0]["findings"]
    design = pq.read_table(one_at_a_time / "design.parquet").to_pandas()
    rows = read_table(one_at_a_time, "contrasts").to_pandas()
    rows = rows[
        (rows.endpoint == "crs_ge3") & (rows.summary == "risk difference") & (rows["view"] == "observed")
    ]
    rows = rows[rows.scale == "astct2019"].set_index("design_id")
    high = design[(design[WARD] == 24)].design_id.iloc[0]
    ends = next(f for f in found if f["input"] == WARD and f["index"] == "high")
    assert [ends[k] for k in ("value", "lower", "upper")] == [
        rows.loc[high, k] for k in ("value", "lower", "upper")
    ]
    base = next(f for f in found if f["index"] == "base")
    assert base["value"] == rows.loc[0, "value"]


def test_the_folder_gets_table_and_figures_and_still_verifies(one_at_a_time, capsys):
    """Twice the same question: the same bytes; the manifest vouches for them, and provenance is that of the run."""
    first = said(capsys, one_at_a_time)
    assert first["files"] == ["sensitivity.parquet", "sensitivity.png", "sensitivity.svg"]
    content = (one_at_a_time / "sensitivity.parquet").read_bytes()
    said(capsys, one_at_a_time)
    assert (one_at_a_time / "sensitivity.parquet").read_bytes() == content
    verify(one_at_a_time)
    table = read_table(one_at_a_time, "sensitivity")
    assert set(table["target"].to_pylist()) == {TARGET}
    footer = json.loads(pq.read_schema(one_at_a_time / "sensitivity.parquet").metadata[b"cartsim"])
    assert footer["seed"] == 7 and footer["table"] == "sensitivity"


def test_printed_answer(one_at_a_time, capsys):
    sensitivity(str(one_at_a_time), [TARGET])
    out = capsys.readouterr().out
    assert f"{TARGET}: in percentage points, 95 % intervals" in out
    assert "Response" in out and RESPONSE + " 0" not in out.splitlines()[4]
    assert "As in the scenario:" in out and "flip" in out
    assert "sensitivity.parquet" in out
    assert max(map(len, out.splitlines())) <= 120


def test_saltelli_crosses_the_replicates_of_the_run(saltelli, capsys):
    found = said(capsys, saltelli, TARGET)["targets"][0]
    indices = {(f["input"], f["index"]): f for f in found["findings"]}
    assert {(RESPONSE, "S1"), (RESPONSE, "ST"), (WARD, "S1"), (WARD, "ST")} <= set(indices)
    assert all("2 replicates crossed" in indices[key]["method"] for key in indices if key[1] in ("S1", "ST"))
    assert not any("One replicate" in note for note in found["notes"])


def test_replicates_average_to_the_pooled_value(saltelli):
    """Shares of equal cohorts: the mean of the replicates is the value of all subjects."""
    from cartsim.commands.sensitivity import _question, _scenario
    from cartsim.sensitivity.stored import parse_targets, read_layout, read_target

    place = Place.of(saltelli)
    question = _question(_scenario(place))
    layout = read_layout(place, question)
    (target,) = parse_targets([TARGET], question)
    values, notes = read_target(place, target, question, layout)
    assert values.values.shape == (2, 32) and not notes
    assert values.values.mean(axis=0) == pytest.approx(values.pooled)
    assert np.abs(values.values[0] - values.values[1]).max() > 0
    assert values.is_share and values.is_contrast and (values.noise > 0).all()


def test_a_lost_block_is_counted_and_not_hidden(probe, saltelli, tmp_path, capsys):
    """A run that is not complete: the base rows that lost a point are named by number, the rest is answered."""
    import shutil

    copy = tmp_path / "partial"
    shutil.copytree(saltelli, copy)
    place = Place.of(copy)
    receipts = sorted(read_receipts(place).values(), key=lambda r: r.number)
    assert len(receipts) > 1
    lost = receipts[-1]
    place.delete(lost.path)
    rewrite(place, read_manifest(place) | {"status": "partial"})
    notes = said(capsys, copy, TARGET)["targets"][0]["notes"]
    assert "The run is not complete: cartsim status says what is missing." in notes
    assert any("base rows are left out: a point of each has no value" in note for note in notes)


def test_what_cannot_be_asked_is_refused(probe, one_at_a_time, tmp_path):
    with pytest.raises(InvalidInput) as caught:
        sensitivity(str(one_at_a_time), ["contrast.crs_ge9.none-asco"])
    assert "crs_ge3" in str(caught.value)
    with pytest.raises(InvalidInput, match="the value of a target"):
        sensitivity(str(one_at_a_time), [f"{TARGET}.halfwidth"])
    with pytest.raises(Unreachable):
        sensitivity(str(tmp_path / "nothing"))
    plain = probe(40) | {"outputs": {"tables": [], "endpoints": ["crs_ge3"]}}
    run(plain, tmp_path / "plain", workers=1)
    with pytest.raises(InvalidInput, match="not a sweep"):
        sensitivity(str(tmp_path / "plain"))
