"""Why: with parameter draws a run answers for many parameter sets, and whoever draws a plane of cost and effect, or
asks which number is worth knowing better, needs the answer and the numbers of each set, not only their mean.
"""

from collections.abc import Iterator

from cartsim.record.kinds import F8, I4, I8, WORD, Column, Table, key, may, must
from cartsim.record.result_tables import CONTRASTS, OUTCOMES, TALLIES
from cartsim.record.value_tables import CE

#: Parts of draw_tallies: counts of each drawn set, sums over all of them, counts at the edges of priors.
DRAW, ALL_DRAWS, EDGES = "draw", "all draws", "tipping"
_DRAW = key("draw", I4, "Parameter set", "", "From 0; its numbers are in parameters.parquet.")


def _like(table: Table, *names: str) -> Iterator[Column]:
    return (table.column(name) for name in names)


_WHICH = (
    *_like(OUTCOMES, "arm_id", "estimand_id", "population", "variable", "endpoint", "scale", "view"),
    *_like(OUTCOMES, "horizon_d", "summary", "level"),
)

DRAW_TALLIES = Table(
    "draw_tallies",
    "Counts by parameter set",
    (
        key("population", WORD, "Population"),
        key(
            "part",
            WORD,
            "What was counted over",
            "",
            "Each drawn set; sums of each subject over all of them; each edge of a prior.",
            values=(DRAW, ALL_DRAWS, EDGES),
        ),
        key("number", I4, "Set", "", "Of a draw its number; of an edge its place in the tipping table."),
        *TALLIES.columns,
    ),
    "As tallies, for every parameter set; only with `run.parameter_draws`. Internal: it may change.",
    streamed=False,
    internal=True,
)

PARAMETER_DRAWS = Table(
    "parameter_draws",
    "Results by parameter set",
    (
        *_like(OUTCOMES, "scenario_id", "design_id"),
        _DRAW,
        *_WHICH,
        must("n_units", I8, "Units", "", "With what is counted: subjects, or replicates."),
        may("value", F8, "Estimate under this set", "", "Null for an empty set of subjects."),
        may(
            "difference",
            F8,
            "Difference from the reference",
            "",
            "Of the same subjects under the same set; null in the reference and where nothing is contrasted.",
        ),
    ),
    "Only with `run.parameter_draws`: one row a parameter set, arm and endpoint, from the same subjects.",
    streamed=False,
)

PARAMETERS = Table(
    "parameters",
    "Numbers of each parameter set",
    (
        *_like(OUTCOMES, "scenario_id", "design_id"),
        _DRAW,
        key("parameter", WORD, "Number", "", "Key of the evidence registry; `key[i]` for one of a list."),
        must("value", F8, "Value", "", "In the unit of the registry (`cartsim evidence KEY`)."),
    ),
    "Only with `run.parameter_draws`. Numbers that the scenario sets itself are not drawn and not listed; an arm's own "
    "`model:` numbers replace those listed in that arm.",
    streamed=False,
)

TIPPING = Table(
    "tipping",
    "Answers at the edges of weak priors",
    (
        *_like(OUTCOMES, "scenario_id", "design_id"),
        Column(
            "parameter",
            WORD,
            "Number that is moved",
            "",
            "Key of the evidence registry; null in the rows of the central answer.",
            key=True,
        ),
        key(
            "prior_sd",
            I4,
            "How far it is moved",
            "",
            "-2, 2: standard deviations of its prior, or the ends of its range where it has no more than that; 0: "
            "every number as it stands.",
        ),
        may("setting", F8, "Value of the number", "", "In the unit of the registry."),
        *_WHICH,
        CONTRASTS.column("reference_arm"),
        must(
            "n_units",
            I8,
            "Units",
            "",
            "Subjects (or replicates) of these rows, mostly fewer than the run has.",
        ),
        *_like(OUTCOMES, "value", "lower", "upper"),
        may("central_value", F8, "Central answer", "", "Of the same subjects, every number as it stands."),
        may(
            "sign_differs",
            I4,
            "Sign differs",
            "",
            "1: on the other side of 0 than the central answer, or at 0.",
        ),
        may(
            "significance_differs",
            I4,
            "Significance differs",
            "",
            "1: the Monte Carlo interval excludes 0 for one of the two answers only.",
        ),
    ),
    "Only with `run.parameter_draws`, at least two arms and no sweep: one weakly identified number at a time at the "
    "edges of its prior, everything else as it stands (docs/uncertainty.md).",
    (("lower", "upper"),),
    streamed=False,
)

CE_DRAWS = Table(
    "ce_draws",
    "Cost, quality and effect by parameter set",
    (
        *_like(CE, "scenario_id", "design_id"),
        _DRAW,
        *_like(
            CE, "replicate", "arm_id", "n_subjects", "cost", "qald", "severe_crs", "currency", "price_year"
        ),
    ),
    "Only with `costs:` and `run.parameter_draws`; `cartsim.ce_frame(study)` has the arms side by side, one row a set.",
    streamed=False,
)

DRAW_TABLES = (DRAW_TALLIES, PARAMETER_DRAWS, PARAMETERS, TIPPING, CE_DRAWS)
