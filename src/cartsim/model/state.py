"""The records that the compiled clinic reads and writes, declared before anything uses them.

One row of `SUBJECT` is a virtual patient (the same in every arm); one row of `COURSE` is what happens to that
patient in one arm. All times are days since infusion; `inf` means "not scheduled", NaN "never happened".
Only declarations live here: what the fields mean is said once, at the field.
"""

import numpy as np

from cartsim.model.parameters import PARAMETERS
from cartsim.terms import (
    MARKER_ROOM,
    MAX_ACTIONS,
    MAX_LEVELS,
    MAX_PROPHYLAXIS,
    MAX_RULES,
    MAX_STEPS,
    RULE_MARKERS,
    Axis,
    CrsScale,
    Marker,
)

F, I1, I2, I4, I8, U8 = "f8", "i1", "i2", "i4", "i8", "u8"

#: Constants of one subject, from covariates and addressed draws; shared by all arms.
SUBJECT = np.dtype(
    [
        ("subject", I8),
        ("crs_peak", F),  # a: untreated log-amplitude of CRS
        ("crs_peak_d", F),  # P
        ("crs_ascent", F),  # g, /d
        ("crs_decline", F),  # d, /d
        ("icans_peak", F),  # b
        ("icans_peak_d", F),  # PN
        ("icans_ascent", F),
        ("icans_decline", F),
        ("eps", F, 4),  # offsets by Axis
        ("toci_response", F),  # R: 1 in responders, less in others
        ("toci_effect", F),  # size of the block on support signs
        ("steroid_size", F),
        ("steroid_scale", F),  # multiplies mg (small bodies)
        ("weight_kg", F),
        ("crp_base", F),  # mg/L
        ("ferritin_base", F),  # ng/mL
        ("other_fever_start", F),  # inf when there is none
        ("other_fever_end", F),
        ("iv_fever", I1),
        ("order_delay_u", F),
        ("death_threshold", F),
        ("death_cause_u", F),
        ("seizure_threshold", F),
        ("key0", U8),
        ("key1", U8),
    ],
    align=True,
)

#: State and summary of one subject in one arm.
COURSE = np.dtype(
    [
        # --- clock and what the driver may be asked
        ("t", F),
        ("end", F),  # END of follow-up: horizon or death
        ("outbox", I4),  # Ask bits still to be told
        ("waiting", I4),  # Ask bits told and not yet answered
        ("asked_toci_t", F),
        ("done", I1),
        # --- when anything could possibly be seen (bounds on the untreated course)
        ("support_from", F),
        ("support_to", F),
        ("neuro_from", F),
        ("neuro_to", F),
        ("harm_from", F),  # where the untreated course could reach a level with a hazard of death by CRS
        ("harm_to", F),
        ("fit_from", F),  # ... or of a seizure or death by ICANS
        ("fit_to", F),
        # --- where the subject is
        ("setting", I1),
        ("has_ward_bed", I1),
        ("anchor", F),  # assessments happen at anchor + k * interval
        ("step", I8),
        ("next_assessment", F),
        ("last_assessment", F),
        ("neuro_checks", I8),
        # --- drugs in the body: amounts at the time of their last change
        ("drugged", I1),
        ("toci_conc", F),
        ("toci_conc_t", F),
        ("toci_first_t", F),  # end of the first infusion
        ("toci_boost", F),
        ("steroid_slow", F),
        ("steroid_fast", F),
        ("steroid_t", F),
        ("anakinra_slow", F),
        ("anakinra_fast", F),
        ("anakinra_t", F),
        # --- doses under way
        ("toci_start", F),  # granted dose begins
        ("toci_stop", F),  # infusion under way ends
        ("toci_mg", F),
        ("toci_rule", I2),
        ("toci_grade", I1),
        ("toci_syndrome", I1),
        ("toci_order_t", F),
        ("toci_delay", F),  # from grant to start, by where the subject was when it was ordered
        ("toci_prophylactic", I1),
        ("prophylaxis_next", I4),
        ("prophylaxis_t", F),
        # regimen slots: 0 steroid, 1 anakinra
        ("reg_action", I2, 2),  # -1 when idle
        ("reg_rule", I2, 2),
        ("reg_step", I2, 2),
        ("reg_given", I4, 2),  # doses given in this step
        ("reg_total", I4, 2),  # doses given in this regimen
        ("reg_next", F, 2),
        ("reg_order_t", F, 2),
        ("reg_grade", I1, 2),
        ("reg_syndrome", I1, 2),
        ("reg_covers_until", F, 2),  # the last dose of a finished course lasts until then
        ("reg_daily_mg", F, 2),  # ... and stood for this much a day
        ("spent", U8),  # actions that may not start again
        # --- what rules remember
        ("eligible", U8),  # rules whose covariate conditions (and adherence) hold
        ("prophylaxis_mask", U8),
        ("held", F, MAX_RULES),
        ("holding", U8),  # rules whose conditions on grades and signs hold, since `held`
        ("seen", U8),  # what they were last held against, a byte each in the order of `SEEN`
        ("seen_fever", I1),
        ("ref_crs", I1),  # grade, H, O at the last tocilizumab order: what "improved" is measured against
        ("ref_bp", I1),
        ("ref_oxygen", I1),
        ("afebrile_since", F),
        ("toci_last_t", F),
        ("anakinra_first_t", F),
        # --- what was seen last
        ("fever", I1),
        ("level", I1, 4),  # by Axis, as supported
        ("neuro", I1),  # N
        ("wide", I1),
        ("crs", I1),  # grade on the scenario's scale
        ("crs_policy", I1),  # grade on the policy's scale
        ("icans", I1),
        ("ne", I1),
        ("seizure_t", F),
        ("seizure_logged", I1),
        ("seizure_seen", I1),
        ("grade_seizure", I1),  # the last assessment saw a seizure
        ("regrade", I1),  # something other than a sign may change a grade: setting, a drug that masks fever
        ("fever_began", I1),
        ("antipyretic", I1),  # 1 takes scheduled antipyretics from `antipyretic_t` on, 2 and a fever was seen
        ("antipyretic_t", F),
        ("icu_need_t", F),
        ("crs_seen_t", F),
        ("neuro_seen_t", F),
        # --- latent grid
        ("grid", I8),  # hazards are booked up to this point
        ("peak_grid", I8),  # peaks are read up to this point
        ("support_done", I1),  # no later point can raise the latent peak
        ("neuro_done", I1),
        ("wide_reached", I1),  # a grid point had a wide event; kept where its decline is not that of ICANS
        ("max_support", F),  # latent peaks on the fixed grid
        ("max_fever", F),
        ("max_neuro", F),
        ("hazard_crs", F),
        ("hazard_icans", F),
        ("hazard_seizure", F),
        ("death_t", F),
        # --- open episodes by Syndrome
        ("ep_open", I1, 3),
        ("ep_start", F, 3),
        ("ep_last", F, 3),
        ("ep_max", I1, 3),
        ("ep_max_t", F, 3),
        ("ep_count", I2, 3),
        # --- summary for the tables
        ("dead", I1),
        ("cause", I1),
        ("peak_level", I1, 4),
        ("peak_gated", I1, 2),  # H, O once fever has begun or was masked (ASTCT)
        ("fever_seen", I1),
        ("iv_fever_seen", I1),
        ("peak_neuro", I1),  # observed ICANS grade
        ("peak_ne", I1),
        ("peak_crs", I1),  # observed, scenario's scale
        ("crs_ge_t", F, 4),  # first seen at grade >= 1..4, scenario's scale
        ("icans_ge_t", F, 4),
        ("ne_ge_t", F, 4),
        ("crs_peak_t", F),
        ("icans_peak_t", F),
        ("duration_first", F, 3),  # days from first to last sign, first episode
        ("duration_sum", F, 3),
        ("last_end_t", F, 3),  # end of the last closed episode
        ("days_ge2", F),  # days seen at CRS grade >= 2
        ("days_icans_ge2", F),
        ("toci_doses", I2),
        ("toci_prophylactic_doses", I2),
        ("toci_mg_total", F),
        ("toci_t", F),  # first tocilizumab for CRS begins
        ("steroid_doses", I4),
        ("steroid_mg", F),  # mg dexamethasone equivalents
        ("steroid_days", I4),
        ("steroid_last_day", I4),
        ("steroid_start_t", F),
        ("anakinra_doses", I4),
        ("anakinra_mg", F),
        ("ward_days", F),
        ("icu_days", F),
        ("vent_days", F),
        ("setting_t", F),  # when the present setting began
        ("admit_t", F),
        ("icu_t", F),
        ("discharge_t", F),
        ("assessments", I4),
        # --- tocilizumab with saturable elimination, where a scenario asks for it
        ("toci_outer", F),  # outer compartment at the last dose
        ("pk_steps", I8),  # steps followed since then, and what they led to
        ("pk_central", F),
        ("pk_outer", F),
        # --- biomarkers, where they are asked for
        ("marker_hour", I8),  # hours integrated
        ("crp", F),
        ("ferritin", F),
        ("marker_sampled", I8),  # samples taken
        (
            "marker_value",
            F,
            (MARKER_ROOM, len(Marker)),
        ),  # the latest of them, sample k in row k % MARKER_ROOM
    ],
    align=True,
)

#: One condition -> action row of a compiled policy. Ranges are inclusive.
RULE = np.dtype(
    [
        ("crs_lo", I1), ("crs_hi", I1), ("icans_lo", I1), ("icans_hi", I1), ("ne_lo", I1), ("ne_hi", I1),
        ("bp_lo", I1), ("bp_hi", I1), ("oxygen_lo", I1), ("oxygen_hi", I1),
        ("liver_lo", I1), ("liver_hi", I1), ("kidney_lo", I1), ("kidney_hi", I1),
        ("neuro_lo", I1), ("neuro_hi", I1),
        ("fever", I1),  # -1 any, 0 no, 1 yes
        ("improved", I1),  # -1 any
        ("temperature_min", F),  # -inf any
        ("for_d", F),  # the grade and sign conditions above have held this long
        ("since_onset_d", F),  # CRS began at least this long ago; 0 any
        ("onset_before_d", F),  # CRS began earlier than this after infusion; inf any
        ("since_first_toci_d", F),  # -1 any; else needs a dose
        ("since_last_toci_d", F),
        ("since_first_steroid_d", F),
        ("awaiting_toci_d", F),  # a dose asked for and not granted for this long; -1 any
        ("toci_lo", I2), ("toci_hi", I2), ("steroid_lo", I2), ("steroid_hi", I2),
        ("anakinra_lo", I2), ("anakinra_hi", I2),
        ("action", I2),  # row of ACTION, -1 none
        ("icu", I1),  # care: icu
        ("syndrome", I1),  # what the order is for
        ("rule_no", I2),  # index into the policy's rule names
        ("has_markers", I1),  # some range of a sampled biomarker is not open
        ("marker_lo", F, RULE_MARKERS), ("marker_hi", F, RULE_MARKERS),
        ("marker_within_d", F),  # the sample is at most this old; inf any
        ("low", U8), ("high", U8),  # the eight ranges above, a byte each in the order of `SEEN`: `pack_ranges`
    ],
    align=True,
)  # fmt: skip

#: Grades and levels that a rule gives ranges for, in the order of their bytes.
SEEN = ("crs", "icans", "ne", "bp", "oxygen", "liver", "kidney", "neuro")


def pack_ranges(rules: np.ndarray) -> None:
    """Fill `low` and `high` of a RULE array from its eight ranges."""
    for field, end in (("low", "lo"), ("high", "hi")):
        packed = np.zeros(len(rules), np.uint64)
        for place, name in enumerate(SEEN):
            packed |= rules[f"{name}_{end}"].astype(np.uint64) << np.uint64(8 * place)
        rules[field] = packed


#: What a rule orders. Tocilizumab uses repeat/while/max; the others are a regimen of steps and a taper.
ACTION = np.dtype(
    [
        ("drug", I1),
        ("max_doses", I2),  # whole action; 32767 = no limit of its own
        ("repeat_d", F),  # tocilizumab: inf = once
        ("while_not_improved", I1),
        ("n_steps", I2),
        ("mg", F, MAX_STEPS),
        ("per_kg", I1),  # mg are mg/kg
        ("cap_mg", F),  # inf none
        ("every_d", F, MAX_STEPS),
        ("doses", I4, MAX_STEPS),  # -1: until the stop condition
        ("taper_from", I2),  # first taper step; n_steps when there is none
        ("has_until", I1),
        ("until_crs", I1), ("until_icans", I1), ("until_ne", I1),  # stop when at or below all of these
        ("until_bp", I1), ("until_oxygen", I1),
        ("daily_mg", F),  # mg dexamethasone equivalents a day in the first step (70 kg): the higher rung replaces
    ],
    align=True,
)  # fmt: skip

#: A dose given by time, to subjects whose bit `row` is set in `prophylaxis_mask`.
PROPHYLAXIS = np.dtype([("drug", I1), ("at_d", F), ("mg", F), ("per_kg", I1), ("rule_no", I2)], align=True)

#: Latent peaks of one subject in one arm, as levels.
LATENT = np.dtype([("level", I1, 4), ("fever", I1), ("neuro", I1), ("wide", I1), ("counts", I1)], align=True)

#: One sample of every biomarker: `hour` since infusion, values in the order and units of `Marker`.
SAMPLE = np.dtype([("row", I4), ("hour", I4), ("value", F, len(Marker))], align=True)

EPISODE = np.dtype(
    [("row", I4), ("syndrome", I1), ("grade", I1), ("seq", I2), ("ongoing", I1),
     ("t_start", F), ("t_max", F), ("t_end", F)],
    align=True,
)  # fmt: skip

DOSE = np.dtype(
    [("row", I4), ("drug", I1), ("syndrome", I1), ("grade", I1), ("rule_no", I2), ("dose_no", I2),
     ("prophylactic", I1), ("mg", F), ("t_order", F), ("t_start", F), ("t_end", F)],
    align=True,
)  # fmt: skip

CHANGE = np.dtype(
    [("row", I4), ("kind", I1), ("t", F), ("setting", I1), ("fever", I1), ("level", I1, 4), ("neuro", I1),
     ("wide", I1), ("seizure", I1), ("crs", I1), ("icans", I1), ("ne", I1), ("toci_doses", I2),
     ("steroid_on", I1), ("rule_no", I2), ("drug", I1)],
    align=True,
)  # fmt: skip


#: More rows than one event can write into any log: every rule may order, every axis may change.
LOG_MARGIN = MAX_RULES + 16
_ROOM = 4 * LOG_MARGIN
#: What a course writes into and its driver empties.
LOG = np.dtype(
    [
        ("n_episodes", I8),
        ("n_doses", I8),
        ("n_changes", I8),
        ("episodes", EPISODE, LOG_MARGIN + 16),
        ("doses", DOSE, _ROOM),
        ("changes", CHANGE, _ROOM),
    ],
    align=True,
)

#: Everything compiled code needs to know that is not the subject: parameters, scales, one arm's policy.
CLINIC = np.dtype(
    [
        ("par", PARAMETERS),
        ("scale", I1, (len(CrsScale), len(Axis), MAX_LEVELS)),  # grade of a level on an axis
        ("fever_grade", I1, (len(CrsScale), 2)),  # grade of fever: not treated, treated IV in hospital
        ("needs_fever", I1, len(CrsScale)),
        ("n_rules", I8),
        ("rules", RULE, MAX_RULES),
        ("actions", ACTION, MAX_ACTIONS),
        ("n_prophylaxis", I8),
        ("prophylaxis", PROPHYLAXIS, MAX_PROPHYLAXIS),
    ],
    align=True,
)
