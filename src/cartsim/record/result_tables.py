"""Why: results are tables too: one statistic a row, with the estimand and the kind of uncertainty spelled out
in columns (STATISTICS 1, 2 and 4), and what scarcity did to a ward."""

from cartsim.record.kinds import F8, I4, I8, RUN_KEYS, SUBJECT_KEYS, WORD, Column, Table, key, may, must

RESOURCES = ("WARD_BED", "ICU_BED", "TOCILIZUMAB")
WARD_CLOCK = "Days on the ward's clock: 0 is the start of the run, not an infusion."

WARD_WAITS = Table(
    "ward_waits",
    "Waits for beds and doses",
    (
        *SUBJECT_KEYS,
        key("resource", WORD, "What was asked for", values=RESOURCES),
        key("seq", I4, "Sequence number", "", "From 1 per subject and resource."),
        must("t_asked_d", F8, "Asked for", "d", WARD_CLOCK),
        may("t_granted_d", F8, "Granted", "d", f"{WARD_CLOCK} Null when never."),
        must("wait_h", F8, "Waited", "h", "Until granted, cancelled or the end of the run."),
        must("outcome", WORD, "How the wait ended", values=("GRANTED", "CANCELLED", "STILL WAITING")),
        must("infused_d", F8, "Infusion on the ward's clock", "d", WARD_CLOCK),
    ),
    "One row per request, those granted at once included.",
    (("t_asked_d", "t_granted_d"),),
)

WARD_OCCUPANCY = Table(
    "ward_occupancy",
    "Ward occupancy",
    (
        *RUN_KEYS,
        key("resource", WORD, "Resource", values=RESOURCES),
        key("seq", I4, "Sequence number", "", "From 1 per resource."),
        must("t_d", F8, "Time of the change", "d", WARD_CLOCK),
        must("in_use", I4, "In use after it", "", "Beds taken, or doses given since the start."),
        may("capacity", I4, "Capacity", "", "Null when unlimited."),
        must("waiting", I4, "Waiting after it"),
    ),
    "A row whenever use or queue of a resource changes.",
)

WARD_STOCKOUTS = Table(
    "ward_stockouts",
    "Stock-outs",
    (
        *RUN_KEYS,
        key("resource", WORD, "Resource", values=RESOURCES),
        key("seq", I4, "Sequence number", "", "From 1 per resource."),
        must("t_start_d", F8, "Begins", "d", WARD_CLOCK),
        may("t_end_d", F8, "Ends", "d", f"{WARD_CLOCK} Null when it outlasts the run."),
        must("max_waiting", I4, "Most subjects waiting at once"),
    ),
    "Spans in which somebody asked and nothing was left.",
    (("t_start_d", "t_end_d"),),
)

VIEWS = ("latent", "observed")

_WHICH = (
    key("estimand_id", WORD, "Estimand", "", "Stable name of the question this number answers."),
    key("population", WORD, "Population"),
    must("variable", WORD, "Variable", "", "Column of adsl or PARAMCD of adtte it is computed from."),
    key("endpoint", WORD, "Endpoint"),
    Column("scale", WORD, "Grading scale", "", "Null where the endpoint has no grade.", key=True),
    Column(
        "view", WORD, "Latent or observed", "", "Null where there is no such choice.", key=True, values=VIEWS
    ),
    must("horizon_d", F8, "Horizon", "d"),
    key("summary", WORD, "Summary measure", "", "Proportion, mean, quantile, cumulative incidence, ..."),
    Column(
        "level", F8, "Level of the summary", "", "Quantile (0-1), day, or grade; null where none.", key=True
    ),
    must("ice_rescue", WORD, "Strategy for rescue medication", "", "ICH E9(R1): treatment policy."),
    must("ice_death", WORD, "Strategy for death", "", "ICH E9(R1): composite, competing or while alive."),
    may("conditioning", WORD, "Conditioned on", "", "Post-infusion event conditioned on: descriptive only."),
    must("replication_unit", WORD, "Unit of replication", "", "Subject, replicate or scramble."),
    must("n_units", I8, "Units"),
    may("n_events", I8, "Units with the event"),
)
_ESTIMATE = (
    may("value", F8, "Estimate", "", "In the endpoint's unit. Null for an empty set: never NaN, never 0."),
    may("sd_subject", F8, "SD between subjects", "", "Patient variability."),
    may("mcse", F8, "Monte Carlo standard error", "", "Would vanish with more subjects."),
    may("se_parameter", F8, "Parameter standard error", "", "Stays however many subjects."),
    may("lower", F8, "Monte Carlo interval, lower", "", "95 %."),
    may("upper", F8, "Monte Carlo interval, upper", "", "95 %."),
    may("param_lower", F8, "Parameter interval, lower", "", "Null with one parameter set."),
    may("param_upper", F8, "Parameter interval, upper", "", "Null with one parameter set."),
    may("interval_method", WORD, "How the interval was made"),
    must(
        "evidence_status",
        WORD,
        "What the number rests on",
        "",
        "Calibrated, assumed, override, uncalibrated.",
    ),
)
_RUN = tuple(column for column in RUN_KEYS if column.name != "replicate")

OUTCOMES = Table(
    "outcomes",
    "Outcomes by arm",
    (*_RUN, *_WHICH, *_ESTIMATE),
    "One statistic a row.",
    (("lower", "upper"), ("param_lower", "param_upper")),
    streamed=False,
)

CONTRASTS = Table(
    "contrasts",
    "Paired contrasts of arms",
    (
        *_RUN,
        *_WHICH,
        *_ESTIMATE,
        key("reference_arm", WORD, "Reference arm", "", "The value is arm_id minus (or over) this arm."),
        may(
            "n10",
            I8,
            "Event in the reference only",
            "",
            "Of a mean difference: subjects with less under the arm.",
        ),
        may(
            "n01", I8, "Event in the arm only", "", "Of a mean difference: subjects with more under the arm."
        ),
        may("variance_ratio", F8, "Variance ratio", "", "Unpaired over paired variance: what pairing saved."),
        may("unpaired_lower", F8, "Unpaired interval, lower", "", "As if the arms had different subjects."),
        may("unpaired_upper", F8, "Unpaired interval, upper"),
        may("harm_lower", F8, "Harmed, lower Frechet bound", "", "From the margins alone."),
        may("harm_upper", F8, "Harmed, upper Frechet bound", "", "From the margins alone."),
        may("nnt", F8, "Number needed to treat", "", "Null unless the interval excludes 0."),
        may("nnt_lower", F8, "Number needed to treat, lower"),
        may("nnt_upper", F8, "Number needed to treat, upper"),
        may("nnt_kind", WORD, "Benefit or harm", "", "", values=("NNT", "NNH")),
    ),
    "The same subjects under two policies: the difference, its interval, who was helped and who was harmed.",
    (("lower", "upper"), ("param_lower", "param_upper"), ("unpaired_lower", "unpaired_upper")),
    streamed=False,
)

TALLIES = Table(
    "tallies",
    "Counts from which results are made",
    (
        *(column for column in RUN_KEYS if column.name != "scenario_id"),
        key("kind", WORD, "Kind of count", "", "Values of a column, pairs of values in two arms, sums, ..."),
        key("feature", WORD, "What was counted", "", "A measure, a column of adsl or a time."),
        key("key", F8, "Value", "", "The value that was counted, or the place of a digit of a sum."),
        Column("key2", F8, "Second value", "", "In this arm, where the first is the reference's.", key=True),
        must("count", I8, "Count", "", "Subjects, or a digit of a sum; adds up over blocks."),
    ),
    "Written block by block; outcomes and contrasts are computed from the sums. Internal: it may change.",
    streamed=False,
    internal=True,
)

RESULTS = (WARD_WAITS, WARD_OCCUPANCY, WARD_STOCKOUTS, OUTCOMES, CONTRASTS, TALLIES)
