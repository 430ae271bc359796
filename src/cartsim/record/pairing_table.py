"""Why: that two arms share every draw until a policy acts is a claim about each subject, so it is written down subject
by subject, where anybody can look one up."""

from cartsim.record.kinds import F8, I8, RUN_KEYS, WORD, Table, key, may, must

#: By `pairing.compare.Kind`.
KINDS = ("none", "policy", "model numbers", "leak")

PAIRING = Table(
    "pairing",
    "First differences between arms",
    (
        *RUN_KEYS,
        key(
            "subject",
            I8,
            "Virtual subject",
            "",
            "The same virtual subject in every arm, scenario and design point.",
        ),
        must("reference_arm", WORD, "Arm it was compared with"),
        must(
            "kind",
            WORD,
            "What stands behind the difference",
            "",
            "policy: an event that the policies account for; model numbers: the arm has registry numbers of its own; "
            "leak: neither, which is an error; none: nothing differs.",
            values=KINDS,
        ),
        may(
            "t_d",
            F8,
            "Time of the first difference",
            "d",
            "Days since infusion; null without a difference, or where baseline values differ already.",
        ),
        may("rule_id", WORD, "Rule behind it", "", "Rule, prophylaxis entry or `levetiracetam`; null unless policy."),
        may("rule_arm", WORD, "Arm whose policy holds that rule", "", "The arm itself or the reference."),
        may("arm_event", WORD, "What happened in the arm", "", "In words; null without a difference."),
        may("reference_event", WORD, "What happened in the reference", "", "In words; null without a difference."),
    ),
    "What `--check-pairing` finds: a row a subject and arm, the first event that differs from the reference and why.",
    streamed=False,
)  # fmt: skip
