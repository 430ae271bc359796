"""Why: a search ends in a choice, and a choice must be open to doubt later: how many subjects each candidate had, what
was found, who was beaten by whom and when, and what might still be on the front."""

from cartsim.record.kinds import F8, I4, I8, RUN_KEYS, TEXT, WORD, Table, key, may, must

STATUS = ("best", "possible", "eliminated")
FRONT = ("on the front", "possible", "dominated")
GOALS = ("minimise", "maximise")

CANDIDATES = Table(
    "candidates",
    "Candidates of a policy search",
    (
        *(column for column in RUN_KEYS if column.name != "replicate"),
        key("endpoint", WORD, "Endpoint"),
        must("label", TEXT, "What is set", "", "The settings in which candidates differ, for people."),
        must("settings", TEXT, "Settings", "", "JSON: dotted path of the scenario -> value."),
        must("variable", WORD, "Variable", "", "Column of adsl it is computed from."),
        may("scale", WORD, "Grading scale", "", "Null where the endpoint has no grade."),
        may("view", WORD, "Latent or observed", "", "Null where there is no such choice."),
        must("horizon_d", F8, "Horizon", "d"),
        must("goal", WORD, "What is better", "", "", values=GOALS),
        must("target", I4, "Chosen on this endpoint", "", "1 for the endpoint of the choice, else 0."),
        must("n_units", I8, "Subjects", "", "The first so many of the cohort, the same for all candidates."),
        must("value", F8, "Estimate", "", "Proportion or mean, in the endpoint's unit."),
        must("sd_subject", F8, "SD between subjects", "", "Patient variability."),
        must("mcse", F8, "Monte Carlo standard error"),
        must("lower", F8, "Monte Carlo interval, lower", "", "95 %, of this candidate by itself."),
        must("upper", F8, "Monte Carlo interval, upper", "", "95 %, of this candidate by itself."),
        must("interval_method", WORD, "How the interval was made"),
        must("difference", F8, "Minus the best", "", "Paired, on the subjects both had; best or leader."),
        must("difference_lower", F8, "Difference, lower", "", "95 %, paired, of this pair by itself."),
        must("difference_upper", F8, "Difference, upper", "", "95 %, paired, of this pair by itself."),
        must("status", WORD, "Choice", "", "Possible: still in the running at the ceiling.", values=STATUS),
        may("eliminated_at", I8, "Eliminated after", "", "Subjects of each candidate by then."),
        may("eliminated_by", I4, "Eliminated by", "", "Design point of the candidate that was better."),
        may(
            "front",
            WORD,
            "Place on the front",
            "",
            "By the means (on the front), not excluded (possible), certainly not (dominated); null: not asked.",
            values=FRONT,
        ),
        may("dominated_at", I8, "Dominated after", "", "Subjects of each candidate by then."),
        may(
            "dominated_by",
            I4,
            "Dominated by",
            "",
            "Design point that is as good in everything, better in one.",
        ),
        must(
            "evidence_status",
            WORD,
            "What the number rests on",
            "",
            "Calibrated, assumed, override, uncalibrated.",
        ),
    ),
    "Written by `cartsim search`: one row a candidate and endpoint. The choice compares all candidates at once with a "
    "stated probability (search.json); the intervals here are those of one number each.",
    (("lower", "upper"), ("difference_lower", "difference_upper")),
    streamed=False,
)
