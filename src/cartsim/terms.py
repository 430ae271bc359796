"""The vocabulary: every code that more than one room must agree on.

A number stored in a Parquet file or compared in compiled code means the same thing everywhere only if it is
named once. Codes are frozen: a new meaning takes a new number, an old number is never given away again.
"""

from enum import IntEnum, IntFlag

HOURS_PER_DAY = 24.0
#: Slack for "at least this long" on the course's clock: far below a second, far above rounding.
TIME_SLACK_D = 1e-9
#: Slack on a drive (natural-log intensity) when bounding where it can be seen.
DRIVE_SLACK = 1e-9
MAX_RULES = 64
MAX_ACTIONS = 64
MAX_STEPS = 8
#: Younger subjects are scored by CAPD, not ICE (ASTCT 2019).
CAPD_BELOW_Y = 12.0
#: The high bit of every byte: eight small numbers in one word are compared at once by subtracting below it.
BITS_PER_BYTE = 8
HIGH_BITS = 0x8080808080808080
#: Levels 0-5 of a sign; axes with fewer repeat the last.
MAX_LEVELS = 6
MAX_PROPHYLAXIS = 32
#: The classical Runge-Kutta step: how far ahead each slope is read, along the one before it, and what it weighs.
RUNGE_KUTTA = ((0.0, 1.0 / 6.0), (0.5, 1.0 / 3.0), (0.5, 1.0 / 3.0), (1.0, 1.0 / 6.0))

DISCLAIMER = (
    "Hypothesis tool, not bedside advice: virtual subjects, and clinical numbers that are mostly assumed."
)


class CrsScale(IntEnum):
    """Grading scale of cytokine release syndrome (CLINICAL A1, A3)."""

    ASTCT2019 = 0
    LEE2014 = 1
    PENN = 2
    CTCAE5 = 3
    CARTOX2018 = 4


class NeuroScale(IntEnum):
    """Narrow ICANS and the wide CTCAE neurologic event are different endpoints and never pooled."""

    ASTCT2019 = 0
    CTCAE = 1


class Axis(IntEnum):
    """Organ axes of CRS; each has ordinal levels, and a scale is a lookup over them."""

    BP_SUPPORT = 0
    OXYGEN = 1
    LIVER = 2
    KIDNEY = 3


class BpSupport(IntEnum):
    """Haemodynamic support, level H."""

    NONE = 0
    ONE_BOLUS = 1
    REPEATED_BOLUSES = 2
    LOW_DOSE_PRESSOR = 3
    HIGH_DOSE_PRESSOR = 4
    SEVERAL_PRESSORS = 5


class Oxygen(IntEnum):
    """Respiratory support, level O."""

    NONE = 0
    LOW_FLOW = 1
    HIGH_FLOW = 2
    CPAP = 3
    VENTILATOR = 4


class Syndrome(IntEnum):
    """What an episode or an order is about."""

    CRS = 0
    ICANS = 1
    NE = 2


class Drug(IntEnum):
    """Drugs that a policy may order."""

    TOCILIZUMAB = 0
    DEXAMETHASONE = 1
    METHYLPREDNISOLONE = 2
    ANAKINRA = 3


class PkModel(IntEnum):
    """How the concentration of tocilizumab is computed (CLINICAL C1)."""

    LINEAR = 0
    MOES = 1
    FREY = 2


class Marker(IntEnum):
    """What is measured at the times of the scenario's schedule; the first four may be looked at by rules."""

    IL6 = 0
    CRP = 1
    FERRITIN = 2
    TEMPERATURE = 3
    TOCILIZUMAB = 4
    OCCUPANCY = 5


#: Markers that a rule may look at.
RULE_MARKERS = 4
#: Samples taken and not yet known that a course remembers, and the one that is known.
MARKER_ROOM = 4


class Setting(IntEnum):
    """Where the subject is; decides how often it is assessed."""

    HOME = 0
    CLINIC = 1
    WARD = 2
    ICU = 3


class Ask(IntFlag):
    """What a course says to its driver. One bit each, so that several wait in an outbox in a fixed order."""

    NOTHING = 0
    RELEASE_ICU = 1
    RELEASE_WARD = 2
    CANCEL_TOCILIZUMAB = 4
    CANCEL_ICU = 8
    CANCEL_WARD = 16
    WARD_BED = 32
    ICU_BED = 64
    TOCILIZUMAB = 128
    DONE = 256
    FLUSH = 512


class Change(IntEnum):
    """Kind of a row in the log of changes."""

    INFUSION = 0
    SIGNS = 1
    ORDER = 2
    ADMIT = 3
    ICU_IN = 4
    ICU_OUT = 5
    DISCHARGE = 6
    SEIZURE = 7
    STEROID_TAPER = 8
    STEROID_STOP = 9
    ANAKINRA_STOP = 10
    DEATH = 11
    END = 12


class Cause(IntEnum):
    """Cause of death."""

    ALIVE = 0
    CRS = 1
    ICANS = 2
    OTHER = 3


class Reaction(IntEnum):
    """What a drug may do to a subject beside its purpose; an infection may come without it."""

    INFUSION_REACTION = 0
    HYPERSENSITIVITY = 1
    NEUTROPENIA = 2
    HEPATOTOXICITY = 3
    INFECTION = 4
    HYPERGLYCAEMIA = 5
    PSYCHIATRIC = 6
    INJECTION_SITE = 7


class HarmSource(IntEnum):
    """Where a reaction comes from; dexamethasone and methylprednisolone are one source."""

    BACKGROUND = 0
    TOCILIZUMAB = 1
    STEROID = 2
    ANAKINRA = 3


class EventType(IntEnum):
    """`evtype` of a time-to-event row (SAVVY coding)."""

    CENSORED = 0
    EVENT = 1
    DEATH = 2
    OTHER = 3


class Decision(IntEnum):
    """Addresses of random numbers. Below 64: drawn once per subject (Sobol' may serve them); above: by occurrence."""

    CRS_AMPLITUDE = 0
    ICANS_AMPLITUDE = 1
    CRS_PEAK_TIME = 2
    ICANS_LAG = 3
    CRS_DECLINE = 4
    ICANS_DECLINE = 5
    BP_OFFSET = 6
    OXYGEN_OFFSET = 7
    TOCILIZUMAB_RESPONSE = 8
    TOCILIZUMAB_SIZE = 9
    STEROID_SIZE = 10
    ADHERENCE = 11
    CRS_ASCENT = 12
    DEATH = 13
    LIVER_OFFSET = 14
    KIDNEY_OFFSET = 15
    OTHER_FEVER = 16
    OTHER_FEVER_ONSET = 17
    OTHER_FEVER_LENGTH = 18
    IV_FEVER = 19
    COMORBIDITY = 20
    ORDER_DELAY = 21
    SEIZURE = 22
    DEATH_CAUSE = 23
    AGE = 32
    WEIGHT = 33
    SEX = 34
    BURDEN = 35
    LDH = 36
    FERRITIN = 37
    CRP = 38
    PLATELETS = 39
    CREATININE = 40
    PRIOR_NEURO = 41
    CELL_DOSE = 42
    ICE_ERROR = 64
    ARRIVAL = 65
    BOOTSTRAP = 66
    PARAMETER = 67  # subject: made from the registry key; occurrence: number of the parameter set
    HARM_INFUSION_REACTION = 70  # 70 + Reaction; occurrence: source, and number of the dose or day
    HARM_HYPERSENSITIVITY = 71
    HARM_NEUTROPENIA = 72
    HARM_HEPATOTOXICITY = 73
    HARM_INFECTION = 74
    HARM_HYPERGLYCAEMIA = 75
    HARM_PSYCHIATRIC = 76
    HARM_INJECTION_SITE = 77
    HARM_ONSET = 78  # occurrence: reaction, source and number
    HARM_SEVERITY = 79
    SOURCE_ROW = 80  # which row of the user's own cohort a subject is, drawn with replacement
    SOURCE_ORDER = 81  # subject: row of the file; the order in which rows are taken without replacement
    BRIDGING = 82  # whether bridging therapy reduced the burden before infusion
    ANTIPYRETIC = 85  # whether scheduled antipyretics hide fever from the bedside


BASELINE_DECISIONS = 64
