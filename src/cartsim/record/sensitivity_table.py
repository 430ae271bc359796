"""Why: what a sweep says about its assumptions is a result like any other: one number a row, with its interval and the
method it came from."""

from cartsim.record.kinds import F8, I4, I8, WORD, Table, key, may, must

SENSITIVITY = Table(
    "sensitivity",
    "Sensitivity to assumptions",
    (
        key("scenario_id", WORD, "Scenario"),
        key("target", WORD, "Target", "", "The outcome or contrast that is asked about, as --target names it."),
        key("input", WORD, "Input", "", "Swept path or name of a group; (all inputs) for the design as a whole."),
        key(
            "index",
            WORD,
            "Index",
            "",
            "S1, ST: first-order and total Sobol' index; variance: of the target over the inputs; mu_star, mu, sigma: "
            "Morris; SRRC: standardised rank regression coefficient; rank R2: share of rank variance explained; "
            "base: the target with all inputs as they are; low, high, at: the target at that setting; swing: high "
            "minus low; tipping: the input's value at which the contrast crosses 0; undecided: values at which its "
            "interval holds 0 without a crossing.",
            values=(
                "S1", "ST", "variance", "mu_star", "mu", "sigma", "SRRC", "rank R2",
                "base", "low", "high", "at", "swing", "tipping", "undecided",
            ),
        ),
        key("seq", I4, "Sequence number", "", "From 1 per target, input and index: several crossings, settings."),
        may("setting", WORD, "Setting of the input", "", "low, high, at, tipping: where on the input."),
        must("method", WORD, "Method"),
        may("value", F8, "Estimate", "", "Null where it cannot be had, or no crossing was found (see note)."),
        may("lower", F8, "Interval, lower", "", "95 %. tipping, undecided: null where the range ends first."),
        may("upper", F8, "Interval, upper", "", "95 %. tipping, undecided: null where the range ends first."),
        must("n", I8, "Rows of the design used", "", "Base rows, trajectories or points."),
        may("note", WORD, "What must be known to read it"),
    ),
    "Made by `cartsim sensitivity RUN` from the stored results of a sweep. Indices are not clipped to 0 and 1.",
    streamed=False,
)  # fmt: skip
