"""Why: what a policy takes, what that costs, and what is bought with it are read by people who were not there when the
run was made. Quantities stand apart from prices, and every money column says in which money of which year.
"""

from cartsim.record.kinds import F8, I4, I8, RUN_KEYS, WORD, Column, Table, key, may, must

_SCENARIO, _DESIGN, _REPLICATE, _ARM = RUN_KEYS
_SEVERE = "Severe means of grade `costs.severe_from` or more (3 unless said)"
_SYNDROMES = ("CRS", "ICANS", "NE")
_MONEY = (
    must("currency", WORD, "Currency", "", "Of the user's prices."),
    must("price_year", I4, "Year of the prices"),
)

SUBGROUP_TALLIES = Table(
    "subgroup_tallies",
    "Counts of subgroups",
    (
        key("population", WORD, "Subgroup"),
        _DESIGN,
        _REPLICATE,
        _ARM,
        key("kind", WORD, "Kind of count", "", "As in tallies."),
        key("feature", WORD, "What was counted", "", "As in tallies."),
        key("key", F8, "Value"),
        Column("key2", F8, "Second value", key=True),
        must("count", I8, "Count"),
    ),
    "As tallies, of the subjects of each subgroup; only with `subgroups:`. Internal: it may change.",
    streamed=False,
    internal=True,
)

OCCUPANCY_COUNTS = Table(
    "occupancy_counts",
    "Counts of grades by day",
    (
        _DESIGN,
        _REPLICATE,
        _ARM,
        key("syndrome", WORD, "Syndrome", values=_SYNDROMES),
        key("day", I4, "Day", "d"),
        key("grade", I4, "Grade"),
        must("count", I8, "Subjects"),
    ),
    "Written block by block; occupancy is made of the sums. Internal: it may change.",
    streamed=False,
    internal=True,
)

OCCUPANCY = Table(
    "occupancy",
    "Grades by day",
    (
        _SCENARIO,
        _DESIGN,
        _ARM,
        key("syndrome", WORD, "Syndrome", values=_SYNDROMES),
        must("scale", WORD, "Scale"),
        key("day", I4, "Day", "d", "Day d runs from d to d + 1 days after infusion."),
        key(
            "grade",
            I4,
            "Grade",
            "",
            "Highest grade seen on the day (not at midnight); 5: dead by its end, of whatever cause.",
        ),
        must("n_subjects", I8, "Subjects of the arm", "", "All replicates; the dead stay in."),
        must("count", I8, "Subjects at this grade"),
        must("share", F8, "Share at this grade", "", "Of everybody infused; grades of a day add up to 1."),
    ),
    "Only with `occupancy` in outputs.tables.",
    streamed=False,
)

RESOURCE_USE = Table(
    "resource_use",
    "Resources used, and their prices",
    (
        _SCENARIO,
        _DESIGN,
        _ARM,
        key("item", WORD, "Resource", "", "As `costs:` names it; packs with their size."),
        must("unit", WORD, "Unit", "", "vial, syringe, mg, day or visit."),
        must("n_units", I8, "Subjects, or replicates of a site"),
        may("quantity", F8, "Mean per subject", "", "In `unit`; intervals are rows use_<item> of outcomes."),
        may(
            "unit_price", F8, "Price of one", "currency", "Null where the user gave none: counted at no cost."
        ),
        may("cost", F8, "Mean cost per subject", "currency", "Quantity times price."),
        *_MONEY,
    ),
    "Only with `costs:`. Packs are whole: each dose takes the cheapest vials that hold it.",
    streamed=False,
)

CE = Table(
    "ce",
    "Cost, quality and effect by arm",
    (
        _SCENARIO,
        _DESIGN,
        _REPLICATE,
        _ARM,
        must("n_subjects", I8, "Subjects"),
        may("cost", F8, "Mean cost per subject", "currency"),
        may("qald", F8, "Mean quality-adjusted days lost", "d", "Null without `utilities:`."),
        may("severe_crs", F8, "Share with severe CRS", "", f"{_SEVERE}; observed, scenario's scale."),
        *_MONEY,
    ),
    "Only with `costs:`. One row an arm of each replicate of each design point (a parameter set where `model.draw` "
    "is swept); `cartsim.ce_frame(study)` has the arms side by side.",
    streamed=False,
)

QUADRANTS = (
    "costs more, avoids more",
    "costs less, avoids more",
    "costs less, avoids fewer",
    "costs more, avoids fewer",
    "no difference",
)

CE_RATIO = Table(
    "ce_ratio",
    "Cost per severe CRS avoided",
    (
        _SCENARIO,
        _DESIGN,
        _ARM,
        key("reference_arm", WORD, "Reference arm"),
        must("n_units", I8, "Subjects, or replicates of a site"),
        may("cost_difference", F8, "Incremental cost per subject", "currency"),
        must("severe_from", I4, "Severe from this grade on", "", _SEVERE),
        may(
            "avoided",
            F8,
            "Severe CRS avoided per subject",
            "",
            "Reference minus arm, observed.",
        ),
        may(
            "ratio", F8, "Incremental cost per severe CRS avoided", "currency", "Null where none is avoided."
        ),
        may("lower", F8, "Fieller interval, lower", "currency", "Null where the interval has no bounds."),
        may("upper", F8, "Fieller interval, upper", "currency"),
        must("interval_method", WORD, "Method", "", "", values=("Fieller, paired", "none")),
        must("quadrant", WORD, "What is bought", "", "", values=QUADRANTS),
        *_MONEY,
    ),
    "Only with `costs:`. A ratio means a price only where the arm costs more and avoids more.",
    (("lower", "upper"),),
    streamed=False,
)

VALUE_TABLES = (SUBGROUP_TALLIES, OCCUPANCY_COUNTS, OCCUPANCY, RESOURCE_USE, CE, CE_RATIO)
