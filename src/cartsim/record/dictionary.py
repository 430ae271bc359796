"""Why: people, R and SAS read what the columns mean from three places, and all three are made from the one
declaration: results/README.md, the footer of each Parquet file, and the Arrow schema."""

import json

import pyarrow as pa

from cartsim.record.catalogue import TABLES
from cartsim.record.catalogue import table as declared
from cartsim.record.kinds import SCHEMA_VERSION, Column
from cartsim.terms import DISCLAIMER, Axis, BpSupport, Oxygen

_JSON_TYPES = {
    "double": "double",
    "string": "string",
    "int8": "integer",
    "int16": "integer",
    "int32": "integer",
}


def dataset_json(name: str) -> str:
    """Dataset-JSON 1.1 shaped metadata of a table, for the footer key `metadata_json`; no date, no rows."""
    spec = declared(name)
    columns = []
    for column in spec.columns:
        entry: dict[str, object] = {
            "itemOID": f"IT.{name.upper()}.{column.name}",
            "name": column.name,
            "label": column.label,
            "dataType": _JSON_TYPES.get(type_name(column), "integer"),
        }
        if column.key:
            entry["keySequence"] = spec.keys.index(column.name) + 1
        columns.append(entry)
    head = {
        "datasetJSONVersion": "1.1.0",
        "itemGroupOID": f"IG.{name.upper()}",
        "name": name.upper(),
        "label": spec.label,
        "columns": columns,
    }
    return json.dumps(head, separators=(",", ":"))


def type_name(column: Column) -> str:
    """Type of a column as a reader meets it: dictionaries are strings."""
    return "string" if pa.types.is_dictionary(column.type) else str(column.type)


#: Where a table is that is not written with the run.
_PLACES = {"pairing": "No file: `cartsim.pairing.check_pairing(SCENARIO).table` in Python"}


def data_dictionary() -> str:
    """The text of results/README.md; the file is made by `python -m cartsim.record > results/README.md`."""
    parts = [_HEAD]
    for name, spec in TABLES.items():
        in_parts = spec.streamed or spec.internal
        place = _PLACES.get(name, f"`{name}/part-*.parquet`" if in_parts else f"`{name}.parquet`")
        parts += [f"### {name}: {spec.label}", "", f"{place}. {spec.description}".rstrip(), ""]
        parts += [f"Primary key: {', '.join(f'`{k}`' for k in spec.keys)}.", ""]
        parts += ["| Column | Type | Unit | Null | Label | Meaning |", "|---|---|---|---|---|---|"]
        parts += [_line(column) for column in spec.columns]
        parts.append("")
    return "\n".join(parts)


def _line(column: Column) -> str:
    meaning = column.description
    if column.values and len(column.values) < 16:
        shown = ", ".join(f"`{v}`" for v in column.values)
        meaning = f"{meaning} One of {shown}.".strip()
    null = "yes" if column.nullable else ""
    cells = (f"`{column.name}`", type_name(column), column.unit, null, column.label, meaning)
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"


def _levels(kind: type) -> str:
    return ", ".join(f"{m.value} {m.name.lower()}" for m in kind)  # type: ignore[attr-defined]


_HEAD = f"""# Data dictionary

What a run writes, table by table. This file is made from `cartsim.record` (schema version {SCHEMA_VERSION}) by
`python -m cartsim.record > results/README.md`; a test keeps it in step. Everything else in this folder is output
and not in version control.

{DISCLAIMER}

## What is in a run's folder

    manifest.json             status partial or complete; rows, sha256 and content hash of every table, versions
    scenario.resolved.yaml    the scenario with every default filled in
    design.parquet            of a sweep: the settings of every design point, by design_id
    adsl/part-00000-*.parquet one folder per subject table, a part for each block of the run
    adae/ adcm/ adtte/ ...    the same layout; ward_*/ when the scenario has a site
    tallies/                  counts by block, from which the next two are made
    outcomes.parquet          one statistic a row, by arm and design point
    contrasts.parquet         one paired difference a row
    resource_use, ce, ce_ratio, occupancy (.parquet)  where a scenario asks (docs/value.md)
    parameter_draws, parameters, tipping, ce_draws (.parquet)  with run.parameter_draws (docs/uncertainty.md)
    *.png *.svg               figures of a run without a sweep; differences.* with run.parameter_draws
    blocks/ failures/         what each block wrote, and which blocks failed
    sensitivity.parquet       made by `cartsim sensitivity`, with its figure

No subject tables are there with `outputs: {{tables: []}}`. `cartsim search` writes a folder of its own
(candidates.parquet, search.json). docs/sweeps.md shows how results of a sweep are joined with the settings.

The run is finished when `manifest.json` says `"status": "complete"`; a partial one goes on where it was when the
scenario is run again (docs/runs.md). After `cartsim compact` parts are large (`part-00000.parquet`), `blocks.json`
stands for `blocks/`, and the run is final. Data files hold no clock time and no host name: the same run on the same
lock file gives the same bytes. Label, unit and description of each column are in its Arrow field metadata; the footer
key `cartsim` holds provenance (scenario text and hash, seed, versions, evidence hash), `metadata_json` the same
columns in the shape of Dataset-JSON.

## How to open it

pandas

    import pandas as pd
    adsl = pd.read_parquet("results/RUN/adsl")
    outcomes = pd.read_parquet("results/RUN/outcomes.parquet")

DuckDB

    SELECT arm_id, avg(CAST(crs_max_grade >= 3 AS INT)) AS severe_crs
    FROM 'results/RUN/adsl/*.parquet' GROUP BY arm_id;

R (arrow, dplyr)

    library(arrow); library(dplyr)
    open_dataset("results/RUN/adsl") |> count(arm_id, crs_max_grade) |> collect()

Python, without pandas: `cartsim.store.read_table("results/RUN", "adsl")` gives an Arrow table.

## Conventions

- **Names.** Clinical columns have CDISC ADaM names (upper case, at most 8 characters); the engine's own columns
  are lower snake_case. Nothing is NaN: what is missing, or cannot be said, is null. Flags are `Y` or null,
  engine flags 1 or 0.
- **Keys.** `scenario_id, design_id, replicate, arm_id, subject`. `subject` is the same virtual patient in every
  arm, so a paired what-if is a join on it. `USUBJID` differs between arms: it is the join key between the tables
  of one arm. Rows are sorted by key within an arm of a block; parts are numbered block by block.
- **Days.** `t_*_d` is continuous, days since infusion (infusion = 0.0, before it negative). `ASTDY`, `AENDY`,
  `EXSTDY`, `DTHADY` are ADaM study days: infusion is day 1, the day before is -1, there is no day 0.
  `duration_d` is continuous; `ADURN` counts calendar days, first and last included. A median of one is not a
  median of the other.
- **Grades.** `*_max_*` is what was seen at assessments, `*_latent*` what happened whether or not anybody looked.
  0 is none, 5 is death from that syndrome. Every table with grades says its scale (`tox_std`, `scale`, or the
  column's name). ICANS (ASTCT) and the wide CTCAE neurologic event (`ne_*`, `NE`) are different endpoints.
- **Levels.** Haemodynamic support: {_levels(BpSupport)}. Oxygen: {_levels(Oxygen)}. Liver and kidney: CTCAE
  grade 0-4. Axes: {_levels(Axis)}. `neuro_level`: 0 ICE 10, 1 ICE 9-7, 2 ICE 6-3, 3 ICE 2-0, 4 unarousable.
- **evtype** (adtte, SAVVY coding): 0 censored, 1 event, 2 death before the event, 3 other competing event.
  `CNSR` is 0 exactly when `evtype` is 1, so `CNSR` alone treats death as censoring: use `evtype` for cumulative
  incidence. Death before resolution means never resolved.
- **Prophylaxis** counts in `toci_doses` and `toci_mg`, not in `t_toci_d` and `TTTOCI` (first dose *for CRS*).
  In `adcm` it has `prophylactic` 1 and `CMINDC` PROPHYLAXIS.

## Reading outcomes and contrasts

Each row is one statistic. `estimand_id, population, variable, endpoint, scale, view, horizon_d, summary, level,
ice_rescue, ice_death, conditioning` say which question it answers (ICH E9(R1)); `ice_rescue` = treatment policy
means that rescue drugs are part of the policy, `ice_death` how death before the endpoint counts.

- Three uncertainties, never mixed: `sd_subject` is the spread between patients; `mcse` with `lower, upper` is
  Monte Carlo error and would vanish with more subjects; `se_parameter` with `param_lower, param_upper` is what is
  not known about the model and stays (null with one parameter set).
- With `run.parameter_draws` each row is a mean over parameter sets, and the three are those of the crossed design (the
  same subjects under every set). `n_events`, `n10`, `n01` belong to one set and are null; where subjects cannot be
  crossed with sets (medians, among those with an event, ratios, subgroups) `mcse` is an upper bound and `se_parameter`
  null. Subject tables, curves and `occupancy` are those of the central set, every number as it stands.
- `n_units` counts `replication_unit`s (subjects in batch runs, whole replicates in ward runs).
- `conditioning` not null: a post-infusion event was conditioned on, so the number describes and does not compare.
- `n10` subjects had the event in the reference only, `n01` in the arm only (of a mean difference: had less, had more
  under the arm). `variance_ratio` is what pairing saved beside the `unpaired_*` interval. `harm_lower, harm_upper`
  bound the share harmed from the margins alone: joint outcomes under two policies can never be observed, only the
  margins can be checked against data.
- `nnt` is null unless the interval of the risk difference excludes 0; `nnt_kind` says benefit (NNT) or harm (NNH).
- `evidence_status` says whether the number rests on calibrated or assumed parameters, or on the scenario's (override).

## Tables
"""
