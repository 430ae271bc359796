"""Why: one place to ask for a table by its name."""

import pyarrow as pa

from cartsim.record.baseline import ADSL
from cartsim.record.draw_tables import DRAW_TABLES
from cartsim.record.kinds import Table
from cartsim.record.marker_tables import MARKER_TABLES
from cartsim.record.pairing_table import PAIRING
from cartsim.record.result_tables import RESULTS
from cartsim.record.search_table import CANDIDATES
from cartsim.record.sensitivity_table import SENSITIVITY
from cartsim.record.subject_tables import SUBJECT_LOGS
from cartsim.record.validation_table import VALIDATION
from cartsim.record.value_tables import VALUE_TABLES

_SINGLE = (CANDIDATES, SENSITIVITY, PAIRING, VALIDATION)
TABLES: dict[str, Table] = {
    t.name: t for t in (ADSL, *SUBJECT_LOGS, *MARKER_TABLES, *RESULTS, *DRAW_TABLES, *VALUE_TABLES, *_SINGLE)
}


def table(name: str) -> Table:
    """The declared table of that name; KeyError names those there are."""
    if name not in TABLES:
        raise KeyError(f"no table {name!r}; there are {', '.join(TABLES)}")
    return TABLES[name]


def schema(name: str) -> pa.Schema:
    """Arrow schema of a table, label, unit and description in each field's metadata."""
    return table(name).schema
