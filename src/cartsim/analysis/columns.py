"""The columns of the result tables, in the order of STATISTICS 4.

Every row says which question it answers and which kind of uncertainty each number is. A missing number is null:
NaN would be averaged away by one reader and plotted by the next.
"""

import pyarrow as pa

WORD, F8, I4, I8 = pa.dictionary(pa.int32(), pa.string()), pa.float64(), pa.int32(), pa.int64()

OUTCOME_TYPES: dict[str, pa.DataType] = {
    "scenario_id": WORD,
    "design_id": I4,
    "arm_id": WORD,
    "estimand_id": WORD,
    "population": WORD,
    "variable": WORD,
    "endpoint": WORD,
    "scale": WORD,
    "view": WORD,
    "horizon_d": F8,
    "summary": WORD,
    "level": F8,
    "ice_rescue": WORD,
    "ice_death": WORD,
    "conditioning": WORD,
    "replication_unit": WORD,
    "n_units": I8,
    "n_events": I8,
    "value": F8,
    "sd_subject": F8,
    "mcse": F8,
    "se_parameter": F8,
    "lower": F8,
    "upper": F8,
    "param_lower": F8,
    "param_upper": F8,
    "interval_method": WORD,
    "evidence_status": WORD,
}
CONTRAST_TYPES: dict[str, pa.DataType] = {
    **OUTCOME_TYPES,
    "reference_arm": WORD,
    "n10": I8,
    "n01": I8,
    "variance_ratio": F8,
    "unpaired_lower": F8,
    "unpaired_upper": F8,
    "harm_lower": F8,
    "harm_upper": F8,
    "nnt": F8,
    "nnt_lower": F8,
    "nnt_upper": F8,
    "nnt_kind": WORD,
}
CURVE_TYPES: dict[str, pa.DataType] = {
    "arm_id": WORD,
    "endpoint": WORD,
    "time_d": F8,
    "value": F8,
    "lower": F8,
    "upper": F8,
    "at_risk": I8,
}
