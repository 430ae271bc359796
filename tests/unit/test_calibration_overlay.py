"""A calibration laid over the registry: values, status and spread; draws that belong together; nothing without one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cartsim.errors import InvalidInput
from cartsim.evidence import calibrated, registry, spread, weak
from cartsim.evidence.calibrated import DRAWS, POINT, lay_over, read_calibration

PARAMETERS: list[tuple[str, str, float, float]] = [
    ("product.axi-cel.crs_mu", "identity", 1.1, 0.1),
    ("product.axi-cel.crs_sigma", "log", 0.5, 0.2),
    ("product.axi-cel.early_treatment_share", "logit", 0.4, 0.3),
    ("product.ide-cel.crs_mu", "identity", 0.7, 0.1),
    ("signs.wide_neuro_threshold", "neglog", -0.6, 0.2),
    ("signs.oxygen_thresholds[0]", "log", 1.4, 0.02),
    ("signs.oxygen_thresholds[1]", "step", 1.7, 0.02),
]


def write(folder: Path, parameters: list[tuple[str, str, float, float]] = PARAMETERS, rows: int = 50) -> Path:
    """A calibration folder whose draws of axi-cel's mean and spread lie on a line."""
    folder.mkdir(exist_ok=True)
    noise = np.random.default_rng(2).normal(size=rows)
    columns = {key: value * (1 + 0.01 * noise) for key, _, value, _ in parameters}
    pq.write_table(pa.table(columns), folder / DRAWS)
    data: dict[str, Any] = {
        "schema": "cartsim/calibration/1",
        "command": "cartsim calibrate --seed 4",
        "targets_sha256": "abc",
        "draws": rows,
        "parameters": [
            {
                "key": key,
                "value": value,
                "sd": sd,
                "interval": [min(value * 0.98, value * 1.02), max(value * 0.98, value * 1.02)],
                "prior": {"transform": transform, "mean": 0.0, "sd": 0.5},
                "identifiability": 0.9 if key.startswith("signs.") else 0.5,
            }
            for key, transform, value, sd in parameters
        ],
    }
    (folder / POINT).write_text(json.dumps(data), "utf-8")
    return folder


def forget() -> None:
    for cached in (
        registry._base,
        spread.draw_numbers,
        spread._drawn_for,
        calibrated.read_calibration,
        calibrated._draw_table,
        weak._fitted,
    ):
        cached.cache_clear()


@pytest.fixture
def laid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package as if this were its calibration."""
    folder = write(tmp_path / "calibration")
    monkeypatch.setattr(calibrated, "FOLDER", folder)
    forget()
    yield folder
    monkeypatch.undo()
    forget()


def test_values_status_targets_and_command(laid: Path) -> None:
    found = registry.load_registry()
    entry = found["product.axi-cel.crs_mu"]
    assert (entry.value, entry.status) == (1.1, "calibrated")
    assert (
        entry.targets is not None and "abc" in entry.targets and entry.command == "cartsim calibrate --seed 4"
    )
    assert found["signs.oxygen_thresholds"].value == [1.4, 1.7, 1.88, 2.02]
    assert found.numbers()["signs.wide_neuro_threshold"] == -0.6
    assert found.counts()["calibrated"] == 6
    assert found.hash() != registry.starting_registry().hash()
    assert registry.starting_registry().numbers()["product.axi-cel.crs_mu"] == 0.96


def test_overrides_still_win(laid: Path) -> None:
    changed = registry.load_registry({"product.axi-cel.crs_mu": 0.2})
    assert (changed["product.axi-cel.crs_mu"].value, changed["product.axi-cel.crs_mu"].status) == (
        0.2,
        "override",
    )


def test_spreads_are_the_marginal_posterior(laid: Path) -> None:
    found = registry.load_registry()

    def ends(key: str) -> tuple[float, float]:
        told = spread.find_spread(found, key)
        assert told is not None
        low, high = told.quantile(0.158655), told.quantile(0.841345)
        assert isinstance(low, float) and isinstance(high, float)
        return low, high

    assert ends("product.axi-cel.crs_mu") == pytest.approx((1.0, 1.2), abs=1e-4)
    assert ends("product.axi-cel.crs_sigma") == pytest.approx(
        (0.5 * np.exp(-0.2), 0.5 * np.exp(0.2)), rel=1e-4
    )
    assert ends("signs.wide_neuro_threshold") == pytest.approx((-0.72, -0.48), abs=1e-4)
    low, high = ends("product.axi-cel.early_treatment_share")
    # a beta distribution of mean 0.4 and standard deviation 0.3 * 0.4 * 0.6
    assert (high - low) / 2 == pytest.approx(0.072, rel=0.03) and (high + low) / 2 == pytest.approx(
        0.4, abs=0.01
    )
    whole = spread.find_spread(found, "signs.oxygen_thresholds")
    assert whole is not None and whole.size == 4 and whole.ends[2] == (1.88, 1.88)


def test_draws_belong_together_and_begin_again(laid: Path) -> None:
    one, later = spread.draw_numbers("axi-cel", 1, 3), spread.draw_numbers("axi-cel", 9, 53)
    table = pq.read_table(laid / DRAWS).to_pydict()
    for drawn in (one, later):
        assert drawn["product.axi-cel.crs_mu"] == table["product.axi-cel.crs_mu"][3]
        assert drawn["product.axi-cel.crs_sigma"] == table["product.axi-cel.crs_sigma"][3]
        assert drawn["signs.oxygen_thresholds"] == [
            table["signs.oxygen_thresholds[0]"][3],
            table["signs.oxygen_thresholds[1]"][3],
            1.88,
            2.02,
        ]
    assert "product.ide-cel.crs_mu" not in one
    assert one["steroid.a50_mg"] != later["steroid.a50_mg"]


def test_weakly_identified_numbers_at_their_edges(laid: Path) -> None:
    found = {prior.name: prior for prior in weak.weak_priors("axi-cel", ())}
    assert "product.axi-cel.crs_mu" not in found
    wide = found["signs.wide_neuro_threshold"]
    # minus exp(0 +- 2 * 0.5)
    assert (wide.low, wide.high) == pytest.approx((-np.e, -1 / np.e))
    second = found["signs.oxygen_thresholds[1]"]
    central = [1.4, 1.7, 1.88, 2.02]
    # a rise above the first threshold, and the later ones keep their distance, so that all still rise
    assert second.high == pytest.approx(1.4 + np.e)
    moved = second.setting(True, central)
    assert moved == pytest.approx([1.4, 1.4 + np.e, 1.58 + np.e, 1.72 + np.e])
    for prior in found.values():
        for upwards in (True, False):
            value = registry.load_registry().numbers()[prior.key]
            assert registry.override_fault(prior.key, prior.setting(upwards, value)) is None, prior.name


def test_without_a_calibration_everything_is_as_the_files_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrated, "FOLDER", tmp_path / "none")
    forget()
    try:
        assert registry.load_registry().hash() == registry.starting_registry().hash()
        assert "calibrated" not in {entry.status for entry in registry.load_registry().values()}
    finally:
        monkeypatch.undo()
        forget()


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ([("product.axi-cel.crs_my", "identity", 1.0, 0.1)], "no such number"),
        ([("product.axi-cel.crs_sigma", "log", -1.0, 0.1)], "above 0"),
        ([("signs.oxygen_thresholds[0]", "log", 1.9, 0.1)], "rise"),
    ],
)
def test_numbers_that_the_registry_cannot_have(
    tmp_path: Path, parameters: list[tuple[str, str, float, float]], told: str
) -> None:
    folder = write(tmp_path / "wrong", parameters)
    with pytest.raises(InvalidInput, match=told):
        lay_over(registry.starting_registry(), read_calibration(folder))


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "other"}', '{"schema": "cartsim/calibration/1"}'])
def test_a_file_that_is_no_calibration(tmp_path: Path, text: str) -> None:
    folder = write(tmp_path / "broken")
    (folder / POINT).write_text(text, "utf-8")
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_calibration(folder)


def test_a_calibration_without_its_draws(tmp_path: Path) -> None:
    folder = write(tmp_path / "half")
    (folder / DRAWS).unlink()
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_calibration(folder)
