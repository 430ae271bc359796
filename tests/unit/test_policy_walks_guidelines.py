"""One hand-made subject through every guideline and trial policy: drug, mg and hour as the source's words give them.

Expected doses were written out from CLINICAL B1-B3 and the texts named there, before the policies were run: 70 kg, so
tocilizumab is 560 mg, and the bedside looks every hour. What a policy assumes where its source is silent stands in its
`approximates`. A rapid taper is 10 mg of dexamethasone equivalents a day for two days; any taper begins when the next
dose would have been due. Rungs that the first subject does not reach are walked with another in `MORE`.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest
from policy_walk import Given, Signs, every, in_order, walk

from cartsim.evidence.registry import load_registry
from cartsim.policy.compile import compile_policy
from cartsim.policy.library import list_policies, load_policy, policy_text
from cartsim.policy.lint import lint
from cartsim.policy.table import render_table
from cartsim.terms import BpSupport, Oxygen
from cartsim.yaml_text import read_yaml

TOCI, DEX, MP, ANA = "tocilizumab", "dexamethasone", "methylprednisolone", "anakinra"
WELL = Signs()
FEVER = Signs(fever=True)
HOT = Signs(fever=True, hot=True)
BOLUS = Signs(fever=True, bp=BpSupport.ONE_BOLUS)
BOLUSES = Signs(fever=True, bp=BpSupport.REPEATED_BOLUSES)
PRESSOR = Signs(fever=True, bp=BpSupport.LOW_DOSE_PRESSOR)
HIGH_PRESSOR = Signs(fever=True, bp=BpSupport.HIGH_DOSE_PRESSOR)
PRESSORS = Signs(fever=True, bp=BpSupport.SEVERAL_PRESSORS)
CANNULA = Signs(fever=True, oxygen=Oxygen.LOW_FLOW)
HIGH_FLOW = Signs(fever=True, oxygen=Oxygen.HIGH_FLOW)
CPAP = Signs(fever=True, oxygen=Oxygen.CPAP)
VENTILATOR = Signs(fever=True, oxygen=Oxygen.VENTILATOR)
FRAIL, HIGH_BURDEN, LAX = {"comorbid": 1}, {"high_burden": 1}, {"adherent": 0}


def ice(level: int, fever: bool = False) -> Signs:
    return Signs(neuro=level, fever=fever)


def toci(rule: str, *hours: float, mg: float = 560) -> list[Given]:
    return [(hour, TOCI, mg, rule) for hour in hours]


def slow_taper(first_h: float, rule: str) -> list[Given]:
    """10 mg every 12 h four times, every 24 h twice, then 4 mg every 24 h twice; each wait follows its own dose."""
    return [
        *every(first_h, 12, 4, DEX, 10, rule),
        *every(first_h + 48, 24, 2, DEX, 10, rule),
        *every(first_h + 96, 24, 2, DEX, 4, rule),
    ]


def steps_down(first_h: float, rule: str) -> list[Given]:
    """250, 125 and 60 mg every 12 h for 2 days each."""
    return [
        dose for k, mg in enumerate((250, 125, 60)) for dose in every(first_h + 48 * k, 12, 4, MP, mg, rule)
    ]


def pulse(first_h: float, rule: str) -> list[Given]:
    """1 g a day for 3 days, then down."""
    return [*every(first_h, 24, 3, MP, 1000, rule), *steps_down(first_h + 72, rule)]


@dataclass(frozen=True)
class Walk:
    signs: list[tuple[float, Signs]]
    expected: list[Given]
    more: dict[str, Any] = field(default_factory=dict)


def on(subject: dict[str, float], **more: Any) -> dict[str, Any]:
    return {"subject": subject} | more


#: ICE 3-6 at 200 h, 0-2 at 215 h, unarousable at 229 h, well at 245 h; no CRS.
CONFUSED = [(200.0, ice(2)), (215.0, ice(3)), (229.0, ice(4)), (245.0, WELL)]
#: Every 12 h at grade 2, every 6 h at grade 3, the pulse at grade 4.
ASCENT = in_order(
    every(200, 12, 2, DEX, 10, "icans2_steroid"),
    every(215, 6, 3, DEX, 10, "icans3_steroid"),
    pulse(229, "icans4_steroid"),
)
#: Every 6 h at grades 2 and 3.
EVEN_ASCENT = in_order(every(200, 6, 5, DEX, 10, "icans2_steroid"), pulse(229, "icans4_steroid"))
#: Several pressors from 50 h on: grade 3 until they are seen in intensive care at 51 h.
SHOCK = [(50.0, PRESSORS), (60.0, WELL)]
SHOCK_TREATED = in_order(
    toci("g2_toci", 50, 58), every(50, 6, 1, DEX, 10, "g3_steroid"), pulse(51, "g4_steroid")
)
CHILD = {"weight_kg": 20, "product": "tisa-cel-all"}
CHILD_STEROID = [
    *every(118, 6, 2, DEX, 2.86, "steroid_18h_bp"),
    *every(130, 24, 2, DEX, 2.857, "steroid_18h_bp"),
]

WALKS: dict[str, Walk] = {
    # tocilizumab at grade 2 where comorbid; no response 24 h later: methylprednisolone 1 mg/kg every 12 h
    "lee_2014": Walk(
        [(48, FEVER), (60, BOLUS), (100, FEVER), (120, WELL)],
        in_order(
            toci("g2_toci_frail", 60, 68, 76, 84),
            every(84, 12, 2, MP, 70, "g2_steroid_frail"),
            every(108, 24, 2, MP, 53, "g2_steroid_frail"),
        ),
        on(FRAIL),
    ),
    # table 3: a pressor for 48 h, one dose of 8 mg/kg; refractory: methylprednisolone 1 mg/kg; NE 3 for 24 h:
    # dexamethasone 10 mg every 6 h until grade 1
    "nci_2016": Walk(
        [
            (72, PRESSOR),
            (150, Signs(fever=True, bp=BpSupport.LOW_DOSE_PRESSOR, neuro=3)),
            (170, ice(3)),
            (200, ice(1)),
            (206, WELL),
        ],
        in_order(
            toci("toci_pressor_48h", 120),
            every(144, 12, 3, MP, 70, "refractory_bp"),
            every(174, 6, 5, DEX, 10, "ne3_steroid"),
        ),
    ),
    # hypotension that boluses and tocilizumab do not mend: 10 mg every 6 h; refractory grade 3: 20 mg every 6 h (the
    # dose due at 90 h precedes the look)
    "cartox_2018": Walk(
        [(48, FEVER), (60, BOLUSES), (75, HIGH_PRESSOR), (100, FEVER), (110, WELL)],
        in_order(
            toci("g2_toci", 60, 68),
            toci("g3_toci", 76, 84),
            every(66, 6, 5, DEX, 10, "g2_steroid"),
            every(90, 6, 2, DEX, 20, "g3_refractory"),
        ),
    ),
    # fever before 72 h: daily dexamethasone and one tocilizumab; grade 2: every 12 h; 24 h after the first dose: as
    # grade 3. ICANS: once, once, repeated after 12 h, every 6 h at grade 3, anakinra where that lasts a day
    "nccn_2026_like": Walk(
        [(40, FEVER), (50, BOLUS), (79, WELL), (150, ice(1)), (165, ice(2)), (180, ice(3)), (207, WELL)],
        in_order(
            toci("g1_toci", 40),
            every(40, 24, 1, DEX, 10, "g1_early_dex"),
            toci("g2_toci", 50, 58, 66),
            every(50, 12, 2, DEX, 10, "g2_dex"),
            every(64, 6, 3, DEX, 10, "g2_escalate"),
            every(82, 24, 2, DEX, 10, "g2_escalate"),
            every(150, 24, 1, DEX, 10, "icans1_dex"),
            every(165, 24, 1, DEX, 10, "icans2_dex"),
            every(177, 12, 1, DEX, 10, "icans2_repeat"),
            every(180, 6, 5, DEX, 10, "icans3_steroid"),
            every(204, 6, 1, ANA, 100, "icans3_anakinra"),
            slow_taper(210, "icans3_steroid"),
        ),
    ),
    # nothing at grade 1; dexamethasone every 6 h only where hypotension outlasts tocilizumab
    "nccn_2020_like": Walk(
        [(40, FEVER), (50, BOLUSES), (80, PRESSOR), (83, WELL)],
        in_order(
            toci("g2_toci", 50, 58, 66, 74),
            every(58, 6, 5, DEX, 10, "g2_dex"),
            every(88, 24, 2, DEX, 10, "g2_dex"),
        ),
    ),
    # 39 degrees three days after onset: one dose; grade 2 after two doses: a steroid; 24 h after the first: as grade 3
    "ebmt_eha_2022": Walk(
        [(40, HOT), (118, BOLUS), (145, WELL)],
        in_order(
            toci("g1_persist", 112),
            toci("g2_toci", 120, 128, 136),
            every(128, 12, 1, DEX, 10, "g2_steroid"),
            every(136, 6, 2, DEX, 10, "g2_escalate"),
            every(148, 24, 2, DEX, 10, "g2_escalate"),
        ),
    ),
    # tocilizumab for prolonged fever in the frail; the steroid second, with tocilizumab at grade 3
    "sitc_2020": Walk(
        [(40, FEVER), (130, CANNULA), (150, PRESSOR), (160, WELL)],
        in_order(
            toci("g1_persist_frail", 112),
            toci("g2_toci", 130, 138, 146),
            every(136, 12, 2, DEX, 10, "g2_steroid"),
            every(150, 6, 2, DEX, 10, "g3_steroid"),
            every(162, 24, 2, DEX, 10, "g3_steroid"),
        ),
        on(FRAIL),
    ),
    # table 1: fever with a high burden; dexamethasone 24 h after tocilizumab, every 6 h at grade 3; 1 g at grade 4
    "samsung_2024": Walk(
        [(40, FEVER), (50, BOLUS), (80, PRESSOR), (95, PRESSORS), (100, WELL)],
        in_order(
            toci("g1_burden", 40),
            toci("g2_toci", 50, 58, 66),
            every(64, 12, 2, DEX, 10, "g2_steroid"),
            every(80, 6, 3, DEX, 10, "g3_steroid"),
            pulse(95, "g4_steroid"),
        ),
        on(HIGH_BURDEN),
    ),
    # a child of 20 kg, 12 mg/kg: one dose for two readings 4 h apart, then severe CRS only, a steroid 18 h into it
    "chop_preemptive": Walk(
        [(50, FEVER), (100, HIGH_PRESSOR), (125, WELL)],
        in_order(toci("preemptive", 54, mg=240), toci("toci_pressor", 100, 108, mg=240), CHILD_STEROID),
        on(HIGH_BURDEN, **CHILD),
    ),
    # 39 degrees for 10 h: tocilizumab; still ill 12 h later: dexamethasone 10 mg every 12 h, then every 6 h
    "scri_early": Walk(
        [(50, HOT), (66, CANNULA), (90, HIGH_FLOW), (100, WELL)],
        in_order(
            toci("toci_fever", 60),
            toci("toci_oxygen", 68),
            every(72, 12, 2, DEX, 10, "persist_oxygen"),
            every(90, 6, 2, DEX, 10, "severe_oxygen"),
            every(102, 24, 2, DEX, 10, "severe_oxygen"),
        ),
    ),
    # tocilizumab at any grade from 1; then ASCO: as grade 3 where 24 h bring no improvement
    "outpatient_early_toci": Walk(
        [(50, FEVER), (70, BOLUS), (87, WELL)],
        in_order(
            toci("g1_toci", 50),
            toci("g2_toci", 70, 78, 86),
            every(74, 6, 3, DEX, 10, "g2_escalate"),
            every(92, 24, 2, DEX, 10, "g2_escalate"),
        ),
    ),
    # ASCO would give dexamethasone at 51 h; here it waits for four doses of anakinra
    "steroid_sparing": Walk(
        [(50, BOLUSES), (88, WELL)],
        in_order(
            toci("g2_toci", 50, 58, 66, 74),
            every(51, 6, 7, ANA, 100, "g2_anakinra"),
            every(69, 6, 1, DEX, 10, "g2_steroid"),
            every(74, 6, 3, DEX, 10, "g2_escalate"),
            every(92, 24, 2, DEX, 10, "g2_escalate"),
        ),
    ),
    # one dose at 48 h; none for neurotoxicity; then cohorts 1 and 2: high-dose pressor, steroid 24 h later
    "zuma1_c3": Walk(
        [(60, ice(3)), (70, WELL), (120, HIGH_PRESSOR), (151, WELL)],
        in_order(
            toci("toci_d2", 48),
            every(60, 6, 2, DEX, 10, "ne3_steroid"),
            every(72, 24, 2, DEX, 10, "ne3_steroid"),
            toci("toci_pressor", 120, 128, 136),
            every(144, 6, 2, DEX, 10, "steroid_24h_severe_bp"),
            every(156, 24, 2, DEX, 10, "steroid_24h_severe_bp"),
        ),
    ),
    # dexamethasone on days 0, 1, 2; grade 1 for 24 h: tocilizumab; grade 2: dexamethasone daily; 24 h of it: every 6 h
    # (at 114 h both fall due)
    "zuma1_c6": Walk(
        [(60, FEVER), (90, BOLUS), (121, WELL)],
        in_order(
            [(hour, DEX, 10, "dex_d0_2") for hour in (-1, 24, 48)],
            toci("g1_toci", 84),
            toci("g2_toci", 92, 100),
            every(90, 24, 2, DEX, 10, "g2_dexamethasone"),
            every(114, 6, 2, DEX, 10, "g2_escalate"),
            every(126, 24, 2, DEX, 10, "g2_escalate"),
        ),
    ),
    # two doses; the steroid at 8 h instead of 24 h; anakinra instead of a third dose
    "conservation": Walk(
        [(40, FEVER), (50, BOLUS), (75, WELL)],
        in_order(
            toci("g2_toci", 50, 58),
            every(58, 12, 2, DEX, 10, "g2_steroid"),
            every(66, 6, 2, ANA, 100, "g2_anakinra"),
            every(82, 24, 2, DEX, 10, "g2_steroid"),
        ),
    ),
}

MORE: list[tuple[str, Walk]] = [
    # at grade 2 (a bolus, or one low-dose pressor) the robust are watched
    ("lee_2014", Walk([(48, FEVER), (60, BOLUS), (70, PRESSOR), (120, WELL)], [])),
    (
        "lee_2014",
        Walk(
            [(60, HIGH_PRESSOR), (90, FEVER), (95, WELL), (200, ice(3)), (209, WELL)],
            in_order(
                toci("g3_toci", 60, 68, 76, 84),
                every(84, 12, 1, MP, 70, "g3_steroid"),
                every(96, 24, 2, MP, 53, "g3_steroid"),
                every(200, 6, 2, DEX, 10, "ne3_steroid"),
                every(212, 24, 2, DEX, 10, "ne3_steroid"),
            ),
        ),
    ),
    # what noradrenaline does not hold at once, FiO2 above half after 2 h, a cannula never
    ("nci_2016", Walk([(50, HIGH_PRESSOR), (60, WELL)], toci("toci_shock", 50))),
    ("nci_2016", Walk([(50, HIGH_FLOW), (60, WELL)], toci("toci_oxygen_2h", 52))),
    ("nci_2016", Walk([(50, CANNULA), (150, WELL)], [])),
    (
        "nci_2016",
        Walk(
            [(50, CPAP), (60, HIGH_FLOW), (76, WELL)],
            in_order(toci("toci_breathing", 50), every(74, 12, 1, MP, 70, "refractory_oxygen")),
        ),
    ),
    # eight doses at least: the ninth follows since grade 4 is still there
    (
        "nci_2016",
        Walk(
            [(50, Signs(fever=True, kidney=3)), (60, WELL), (100, ice(4)), (150, WELL)],
            in_order(toci("toci_creatinine", 50), every(100, 6, 9, DEX, 10, "ne4_steroid")),
        ),
    ),
    ("cartox_2018", Walk([(48, FEVER), (130, WELL)], toci("g1_persist", 120))),
    (
        "cartox_2018",
        Walk(
            [(50, CANNULA), (60, WELL), (100, HIGH_PRESSOR), (105, FEVER), (107, WELL)],
            in_order(
                toci("g2_toci_oxygen", 50, 58),
                toci("g3_toci", 100),
                every(100, 6, 1, DEX, 10, "g3_steroid"),
            ),
        ),
    ),
    (
        "cartox_2018",
        Walk(
            [(60, VENTILATOR), (62, WELL)],
            in_order(toci("g3_toci", 60), every(60, 6, 1, DEX, 10, "g3_steroid"), pulse(61, "g4_steroid")),
        ),
    ),
    ("cartox_2018", Walk(CONFUSED, EVEN_ASCENT)),
    (
        "cartox_2018",
        Walk(
            [(100, ice(2, fever=True)), (113, WELL)],
            in_order(
                toci("icans_toci", 100),
                every(108, 6, 1, DEX, 10, "icans2_crs_dex"),
                every(114, 24, 2, DEX, 10, "icans2_crs_dex"),
            ),
        ),
    ),
    # CRS from 80 h on: no steroid at grade 1
    ("nccn_2026_like", Walk([(80, FEVER), (90, WELL)], toci("g1_toci", 80))),
    (
        "nccn_2026_like",
        Walk(
            [(80, PRESSOR), (90, PRESSORS), (95, WELL)],
            in_order(
                toci("g2_toci", 80, 88), every(80, 6, 2, DEX, 10, "g3_steroid"), pulse(90, "g4_steroid")
            ),
        ),
    ),
    # where grade 1 rules are not followed, ICANS with CRS still brings one dose
    (
        "nccn_2026_like",
        Walk(
            [(200, ice(1, fever=True)), (206, ice(4)), (212, WELL)],
            in_order(toci("icans_toci", 200), pulse(206, "icans4_steroid")),
            on(LAX),
        ),
    ),
    # hypoxia alone waits for the 24 h
    (
        "nccn_2020_like",
        Walk(
            [(50, CANNULA), (75, WELL)],
            in_order(
                toci("g2_toci", 50, 58, 66, 74),
                every(74, 6, 1, DEX, 10, "g2_escalate"),
                every(80, 24, 2, DEX, 10, "g2_escalate"),
            ),
        ),
    ),
    ("nccn_2020_like", Walk([(40, FEVER), (118, WELL)], toci("g1_persist_frail", 112), on(FRAIL))),
    ("nccn_2020_like", Walk(SHOCK, SHOCK_TREATED)),
    ("nccn_2020_like", Walk([(100, ice(1, fever=True)), (110, WELL)], toci("icans_toci", 100))),
    (
        "nccn_2020_like",
        Walk(
            CONFUSED,
            in_order(
                every(200, 12, 1, DEX, 10, "icans2_dex"),
                every(212, 12, 1, DEX, 10, "icans2_repeat"),
                ASCENT[2:],
            ),
        ),
    ),
    ("ebmt_eha_2022", Walk([(40, FEVER), (150, WELL)], [])),
    ("ebmt_eha_2022", Walk([(40, HOT), (50, WELL)], toci("g1_burden", 40), on(HIGH_BURDEN))),
    ("ebmt_eha_2022", Walk(SHOCK, SHOCK_TREATED)),
    # 24 h of grade 3: the pulse (the dose due at 74 h precedes the look); grade 4 after that: anakinra
    (
        "ebmt_eha_2022",
        Walk(
            [(50, PRESSOR), (81, PRESSORS), (95, WELL)],
            in_order(
                toci("g2_toci", 50, 58, 66, 74),
                every(50, 6, 5, DEX, 10, "g3_steroid"),
                pulse(74, "g3_escalate"),
                every(81, 6, 3, ANA, 100, "g4_anakinra"),
            ),
        ),
    ),
    ("ebmt_eha_2022", Walk(CONFUSED, EVEN_ASCENT)),
    ("ebmt_eha_2022", Walk([(100, ice(1, fever=True)), (110, WELL)], toci("icans_toci", 100))),
    ("sitc_2020", Walk(SHOCK, SHOCK_TREATED)),
    ("sitc_2020", Walk(CONFUSED, ASCENT)),
    ("sitc_2020", Walk([(100, ice(1, fever=True)), (110, WELL)], toci("icans_toci", 100))),
    ("samsung_2024", Walk([(40, FEVER), (60, WELL)], [])),
    ("samsung_2024", Walk([(40, FEVER), (60, WELL)], toci("g1_frail", 40), on(FRAIL))),
    ("samsung_2024", Walk(CONFUSED, ASCENT)),
    # a low burden: severe CRS only; one reading is not two
    (
        "chop_preemptive",
        Walk(
            [(50, FEVER), (100, HIGH_PRESSOR), (125, WELL)],
            in_order(toci("toci_pressor", 100, 108, 116, mg=240), CHILD_STEROID),
            CHILD,
        ),
    ),
    ("chop_preemptive", Walk([(50, FEVER), (53, WELL), (56, FEVER), (59, WELL)], [], on(HIGH_BURDEN))),
    (
        "chop_preemptive",
        Walk(
            [(50, HIGH_FLOW), (76, VENTILATOR), (90, WELL), (200, ice(3)), (209, ice(4)), (215, WELL)],
            in_order(
                toci("toci_oxygen", 50, 58, 66),
                every(68, 6, 2, DEX, 10.01, "steroid_18h_oxygen"),
                every(76, 12, 2, MP, 319.9, "steroid_ventilator"),
                every(100, 24, 2, MP, 53, "steroid_ventilator"),
                every(200, 6, 2, DEX, 10.01, "ne3_steroid"),
                every(209, 12, 1, MP, 319.9, "ne4_steroid"),
                every(221, 24, 2, MP, 53, "ne4_steroid"),
            ),
        ),
    ),
    (
        "scri_early",
        Walk(
            [(50, HOT), (80, WELL)],
            in_order(toci("toci_fever", 60), every(72, 12, 1, DEX, 5, "persist_fever")),
        ),
    ),
    ("scri_early", Walk([(50, CANNULA), (56, WELL)], toci("toci_oxygen", 50))),
    (
        "scri_early",
        Walk(
            [(50, BOLUSES), (70, PRESSOR), (81, VENTILATOR), (90, WELL)],
            in_order(
                toci("toci_bp", 50, 58),
                every(62, 12, 1, DEX, 10, "persist_bp"),
                every(70, 6, 2, DEX, 10, "severe_bp"),
                pulse(81, "ventilator"),
            ),
        ),
    ),
    (
        "scri_early",
        Walk(
            [(200, ice(3)), (209, ice(4)), (215, WELL)],
            in_order(every(200, 6, 2, DEX, 10, "ne3_steroid"), pulse(209, "ne4_steroid")),
        ),
    ),
    (
        "steroid_sparing",
        Walk(
            [(50, CANNULA), (100, WELL)],
            in_order(
                toci("g2_toci", 50, 58, 66, 74),
                every(74, 6, 5, ANA, 100, "g2_anakinra_24h"),
                every(92, 6, 2, DEX, 10, "g2_escalate"),
                every(104, 24, 2, DEX, 10, "g2_escalate"),
            ),
        ),
    ),
    (
        "steroid_sparing",
        Walk(
            [(50, PRESSOR), (63, WELL)],
            in_order(
                toci("g2_toci", 50, 58),
                every(56, 6, 2, DEX, 10, "g3_steroid"),
                every(50, 6, 3, ANA, 100, "g3_anakinra"),
                every(68, 24, 2, DEX, 10, "g3_steroid"),
            ),
        ),
    ),
    # grade 4 is seen at 51 h, after one dose of anakinra: ASCO's 500 mg every 12 h for 3 days at once
    (
        "steroid_sparing",
        Walk(
            SHOCK,
            in_order(
                toci("g2_toci", 50, 58),
                every(50, 6, 1, ANA, 100, "g3_anakinra"),
                every(51, 12, 6, MP, 500, "g4_steroid"),
                every(51, 8, 2, ANA, 200, "g4_anakinra"),
                steps_down(123, "g4_steroid"),
            ),
        ),
    ),
    (
        "steroid_sparing",
        Walk(
            [(200, ice(2)), (250, WELL)],
            in_order(
                every(218, 12, 2, DEX, 10, "icans2_steroid"),
                every(242, 12, 1, DEX, 10, "icans2_repeat"),
                every(200, 6, 9, ANA, 100, "icans2_anakinra"),
                slow_taper(254, "icans2_repeat"),
            ),
        ),
    ),
    (
        "steroid_sparing",
        Walk(
            [(100, ice(3)), (109, WELL)],
            in_order(
                every(106, 6, 1, DEX, 10, "icans3_steroid"),
                every(100, 6, 2, ANA, 100, "icans3_anakinra"),
                slow_taper(112, "icans3_steroid"),
            ),
        ),
    ),
    (
        "steroid_sparing",
        Walk(
            [(100, ice(2, fever=True)), (130, WELL)],
            in_order(
                toci("icans_toci", 100),
                every(126, 12, 1, DEX, 10, "icans2_crs_steroid"),
                every(108, 6, 4, ANA, 100, "icans2_crs_anakinra"),
                slow_taper(138, "icans2_crs_steroid"),
            ),
        ),
    ),
    (
        "steroid_sparing",
        Walk(
            [(100, ice(3, fever=True)), (117, WELL)],
            in_order(
                toci("icans_toci", 100),
                every(114, 6, 1, DEX, 10, "icans3_crs_steroid"),
                every(108, 6, 2, ANA, 100, "icans3_crs_anakinra"),
                slow_taper(120, "icans3_crs_steroid"),
            ),
        ),
    ),
    # the same with no tocilizumab to be had
    (
        "steroid_sparing",
        Walk(
            [(100, ice(3, fever=True)), (117, WELL)],
            in_order(
                every(114, 6, 1, DEX, 10, "icans3_no_toci"),
                every(108, 6, 2, ANA, 100, "icans3_no_toci_anakinra"),
                slow_taper(120, "icans3_no_toci"),
            ),
            {"stock": 0},
        ),
    ),
    (
        "steroid_sparing",
        Walk(
            [(100, ice(4)), (103, WELL)],
            in_order(every(100, 8, 1, ANA, 200, "icans4_anakinra"), pulse(101, "icans4_steroid")),
        ),
    ),
    # 24 h of grade 3, not 24 h after the prophylactic doses (the dose due at 74 h precedes the look)
    (
        "zuma1_c6",
        Walk(
            [(50, HIGH_PRESSOR), (80, WELL)],
            in_order(
                [(hour, DEX, 10, "dex_d0_2") for hour in (-1, 24, 48)],
                toci("g2_toci", 50, 58, 66),
                every(50, 6, 5, DEX, 10, "g3_steroid"),
                pulse(74, "g3_escalate"),
            ),
        ),
    ),
    # no dose in stock: anakinra and dexamethasone after 4 h
    (
        "conservation",
        Walk(
            [(50, BOLUS), (75, WELL)],
            in_order(
                every(54, 12, 2, DEX, 10, "none_steroid"),
                every(54, 6, 4, ANA, 100, "none_anakinra"),
                every(78, 24, 2, DEX, 10, "none_steroid"),
            ),
            {"stock": 0},
        ),
    ),
    # one dose: the second is awaited from 58 h on
    (
        "conservation",
        Walk(
            [(50, BOLUS), (75, WELL)],
            in_order(
                toci("g2_toci", 50),
                every(58, 12, 2, DEX, 10, "g2_steroid"),
                every(62, 6, 3, ANA, 100, "none_anakinra"),
                every(82, 24, 2, DEX, 10, "g2_steroid"),
            ),
            {"stock": 1},
        ),
    ),
    ("conservation", Walk(SHOCK, SHOCK_TREATED)),
    ("conservation", Walk(CONFUSED, ASCENT)),
    # with ICANS the steroid comes at grade 1, and no tocilizumab
    (
        "conservation",
        Walk(
            [(50, ice(1, fever=True)), (60, WELL)],
            in_order(
                every(50, 12, 1, DEX, 10, "icans_crs_dex"),
                every(62, 24, 2, DEX, 10, "icans_crs_dex"),
            ),
        ),
    ),
]


@pytest.mark.parametrize("policy_id", sorted(WALKS))
def test_one_subject_through_the_rungs(policy_id: str) -> None:
    one = WALKS[policy_id]
    assert walk(policy_id, one.signs, **one.more) == one.expected


@pytest.mark.parametrize(
    ("policy_id", "one"), [pytest.param(*row, id=f"{row[0]}-{place}") for place, row in enumerate(MORE)]
)
def test_another_subject(policy_id: str, one: Walk) -> None:
    assert walk(policy_id, one.signs, **one.more) == one.expected


def test_a_prophylactic_steroid_does_not_start_the_clock_of_the_next_rung() -> None:
    """Grade 2 at 30 h is 31 h after the first prophylactic dose; the next rung comes 24 h after treatment began."""
    policy = load_policy({"extends": "zuma1_c4", "add": ["dex_d0_2"]}, load_registry())
    given = walk(compile_policy(policy, load_registry()), [(30, BOLUS), (61, WELL)])
    assert [row for row in given if row[3] not in ("g2_toci", "dex_d0_2")] == in_order(
        every(30, 24, 2, DEX, 10, "g2_dexamethasone"),
        every(54, 6, 2, DEX, 10, "g2_escalate"),
        every(66, 24, 2, DEX, 10, "g2_escalate"),
    )


@pytest.mark.parametrize("policy_id", sorted(WALKS))
def test_every_rung_of_the_file_was_walked(policy_id: str) -> None:
    """Rungs taken over from another policy are walked there."""
    document, _ = read_yaml(policy_text(policy_id), policy_id)
    own = {name for name, rule in (document.data.get("rules") or {}).items() if rule is not None}
    walks = [WALKS[policy_id], *(one for name, one in MORE if name == policy_id)]
    assert own <= {row[3] for one in walks for row in one.expected}


@pytest.mark.parametrize("policy_id", sorted(WALKS))
def test_its_table_shows_every_rung_with_a_star_where_it_was_not_verified(policy_id: str) -> None:
    policy = load_policy(policy_id, load_registry())
    text = "".join(render_table(policy, 240).split())
    starred = {path.split(".")[1] for path in policy.unverified}
    for name in (*policy.rules, *policy.prophylaxis):
        assert f"[{name}{'*' if name in starred else ''}]" in text, name


def test_a_recalled_policy_has_no_verified_rung() -> None:
    registry = load_registry()
    for policy_id in WALKS:
        policy = load_policy(policy_id, registry)
        rungs = {f"rules.{name}" for name in policy.rules}
        if policy_id in ("sitc_2020", "scri_early", "zuma1_c3", "zuma1_c6"):
            assert policy.status == "recalled" and rungs <= set(policy.unverified)
        else:
            assert rungs - set(policy.unverified), policy_id


def test_a_policy_that_extends_another_is_listed_whole() -> None:
    header = {one.id: one for one in list_policies()}["zuma1_c3"]
    policy = load_policy("zuma1_c3", load_registry())
    assert (header.scale, header.neuro_scale) == ("lee2014", "ctcae")
    assert header.rungs == len(policy.rules) + len(policy.prophylaxis) == 15
    assert list(header.unverified) == policy.unverified
    assert policy.derived_from == ["zuma1_c1_2", "toci_d2"] and policy.levetiracetam


def test_a_policy_that_extends_another_does_not_borrow_its_doi() -> None:
    headers = {one.id: one for one in list_policies()}
    for policy_id in ("zuma1_c3", "zuma1_c6", "outpatient_early_toci"):
        assert headers[policy_id].doi is None


@pytest.mark.parametrize(("module_id", "first_h"), [("anakinra_d0", 0), ("anakinra_d2", 48)])
def test_prophylactic_anakinra_is_twenty_doses_twelve_hours_apart(module_id: str, first_h: float) -> None:
    registry = load_registry()
    policy = load_policy({"extends": "no_treatment", "add": [module_id]}, registry)
    given = walk(compile_policy(policy, registry), [(60, HOT), (90, WELL)])
    assert given == every(first_h, 12, 20, ANA, 100, module_id)
    assert lint(policy, registry) == []
    start = "infusion" if first_h == 0 else "48 h after infusion"
    text = "".join(render_table(policy, 400).split())
    assert f"anakinra 100 mg sc: every 12 h from {start} on, 20 doses [{module_id}*]".replace(" ", "") in text
