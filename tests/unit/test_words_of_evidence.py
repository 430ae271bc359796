"""What a number rests on, where of a product's cohort only the share with any CRS could be fitted."""

from cartsim.analysis.endpoints import standard_endpoints, words_of_evidence
from cartsim.evidence.registry import load_registry

ENDPOINTS = standard_endpoints("astct2019")


def test_a_thin_product_is_calibrated_in_any_crs_alone() -> None:
    registry = load_registry()
    assert registry.is_thin("cd19-lupus") and not registry.is_thin("axi-cel")
    words = words_of_evidence(ENDPOINTS, {"calibrated": 3}, thin=True)
    assert {words[name] for name in ("crs_ge2", "crs_ge3", "icans_any", "crs_grade")} == {"assumed"}
    assert "crs_any" not in words and "death" not in words


def test_without_a_calibration_nothing_is_calibrated() -> None:
    words = words_of_evidence(ENDPOINTS, {"calibrated": 0}, thin=True)
    assert words["crs_any"] == "assumed"
    assert words == words_of_evidence(ENDPOINTS, {}, thin=False)
    assert words_of_evidence(ENDPOINTS, {"calibrated": 3}) == {}
