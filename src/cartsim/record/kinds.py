"""Why: a column is said once (name, type, unit, label, meaning) and everything else that needs to know it,
the Arrow schema, the check on write, the footer metadata and the data dictionary, reads it from here."""

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from cartsim.terms import CrsScale, NeuroScale

SCHEMA_VERSION = "1.0"
#: Limits of the transport format (XPT v5) that clinical columns and all labels keep.
XPT_NAME, XPT_LABEL, XPT_TEXT = 8, 40, 200

F8, I1, I2, I4, I8 = pa.float64(), pa.int8(), pa.int16(), pa.int32(), pa.int64()
TEXT = pa.string()
#: Repeated strings. Parquet hands dictionaries back with 32-bit indices whatever was written.
WORD = pa.dictionary(pa.int32(), pa.string())

#: Columns whose value names one stream of rows: subjects ascend within it, and the content hash keeps it apart.
STREAM = ("scenario_id", "design_id", "replicate", "arm_id")

#: `tox_std`: the grading standard, stated in data and not in a footnote.
CRS_STANDARD = {
    CrsScale.ASTCT2019: "ASTCT 2019",
    CrsScale.LEE2014: "Lee 2014",
    CrsScale.PENN: "Penn",
    CrsScale.CTCAE5: "CTCAE 5.0",
    CrsScale.CARTOX2018: "CARTOX 2018",
}
NEURO_STANDARD = {NeuroScale.ASTCT2019: "ASTCT 2019", NeuroScale.CTCAE: "CTCAE 5.0"}


@dataclass(frozen=True)
class Column:
    """One column. `values` is a codelist (and the sort order of a key), `top` the highest grade or level.

    An `added` column is there for what a scenario may ask for beyond the rest, and null where it does not: left empty,
    it leaves the content hash of its table as it was before there was such a column. It can be missing.
    """

    name: str
    type: pa.DataType
    label: str
    unit: str = ""
    description: str = ""
    key: bool = False
    nullable: bool = True
    values: tuple[str, ...] = ()
    top: int | None = None
    added: bool = False

    @cached_property
    def field(self) -> pa.Field:
        """The Arrow field, with label, unit, description and codelist in its metadata."""
        notes = {
            "label": self.label,
            "unit": self.unit,
            "description": self.description or self.label,
            "codelist": "|".join(self.values),
        }
        return pa.field(self.name, self.type, self.nullable, {k: v for k, v in notes.items() if v})

    @property
    def is_clinical(self) -> bool:
        """Whether the name is a CDISC ADaM name (upper case)."""
        return self.name == self.name.upper()


@dataclass(frozen=True)
class Table:
    """One output table: its columns in order, and what must hold in it.

    `in_order` lists chains of time columns that never descend within a row; `streamed` tables are written in
    parts, one stream of ascending keys per arm; the others are one file in the order they were made. `internal`
    tables are written in parts too, in any order: they are what results are made of, and not for readers.
    """

    name: str
    label: str
    columns: tuple[Column, ...]
    description: str = ""
    in_order: tuple[tuple[str, ...], ...] = ()
    streamed: bool = True
    internal: bool = False

    @cached_property
    def schema(self) -> pa.Schema:
        """Arrow schema: the exact columns, types, nullability and order of a valid table."""
        return pa.schema([column.field for column in self.columns])

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Names of the primary key columns, in sort order."""
        return tuple(column.name for column in self.columns if column.key)

    def column(self, name: str) -> Column:
        """The declared column of that name; KeyError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name}")


def key(
    name: str, type_: pa.DataType, label: str, unit: str = "", description: str = "", **more: object
) -> Column:
    """A primary key column: never null."""
    return Column(name, type_, label, unit, description, key=True, nullable=False, **more)  # type: ignore[arg-type]


def must(
    name: str, type_: pa.DataType, label: str, unit: str = "", description: str = "", **more: object
) -> Column:
    """A column that is never null."""
    return Column(name, type_, label, unit, description, nullable=False, **more)  # type: ignore[arg-type]


def may(
    name: str, type_: pa.DataType, label: str, unit: str = "", description: str = "", **more: object
) -> Column:
    """A column that is null where there is nothing to say."""
    return Column(name, type_, label, unit, description, **more)  # type: ignore[arg-type]


def added(
    name: str, type_: pa.DataType, label: str, unit: str = "", description: str = "", **more: object
) -> Column:
    """A column of something that a scenario may ask for; null everywhere where it does not."""
    return Column(name, type_, label, unit, description, added=True, **more)  # type: ignore[arg-type]


RUN_KEYS = (
    key("scenario_id", WORD, "Scenario"),
    key("design_id", I4, "Design point", "", "Row of the sweep's design; 0 when there is no sweep."),
    key("replicate", I4, "Replicate", "", "0-based; the same scenario under another seed."),
    key("arm_id", WORD, "Arm"),
)
SUBJECT_KEYS = (
    *RUN_KEYS,
    key(
        "subject",
        I8,
        "Virtual subject",
        "",
        "The same virtual subject in every arm, scenario and design point.",
    ),
    must("STUDYID", WORD, "Study Identifier", "", "SIM-<scenario>-D<design>-R<replicate>."),
    must("USUBJID", TEXT, "Unique Subject Identifier", "", "STUDYID, arm and subject: unique across arms."),
)
