"""The output tables, declared once (DESIGN 7): schemas, the check on write, the data dictionary."""

from cartsim.record.catalogue import TABLES, schema, table
from cartsim.record.check import check
from cartsim.record.dictionary import data_dictionary, dataset_json
from cartsim.record.kinds import SCHEMA_VERSION, STREAM, Column, Table

__all__ = [
    "SCHEMA_VERSION",
    "STREAM",
    "TABLES",
    "Column",
    "Table",
    "check",
    "data_dictionary",
    "dataset_json",
    "schema",
    "table",
]
