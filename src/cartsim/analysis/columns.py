"""The columns of the two result tables, in the order of STATISTICS 4, and how rows become an Arrow table.

Every row says which question it answers and which kind of uncertainty each number is. A missing number is null:
NaN would be averaged away by one reader and plotted by the next.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import pyarrow as pa

WORD, F8, I4, I8 = pa.dictionary(pa.int32(), pa.string()), pa.float64(), pa.int32(), pa.int64()

#: One result: column name to value, missing columns null.
Row: TypeAlias = dict[str, Any]

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


def build_table(rows: Iterable[Mapping[str, Any]], types: Mapping[str, pa.DataType]) -> pa.Table:
    """Return an Arrow table with exactly the columns of `types`; absent keys and NaN become null."""
    held = list(rows)

    def clean(value: Any) -> Any:
        return None if isinstance(value, float) and math.isnan(value) else value

    arrays = {}
    for name, type_ in types.items():
        values = [clean(row.get(name)) for row in held]
        if pa.types.is_dictionary(type_):
            arrays[name] = pa.array(values, pa.string()).dictionary_encode()
        else:
            arrays[name] = pa.array(values, type_)
    return pa.table(arrays)
