"""Why: the scenario file is the contract with whoever asks the question, so every key, unit and bound of it is
declared here once. Defaults stand here too; what needs the evidence registry or the policies is filled in by
`resolve.py`. Nothing is converted silently: text is not a number and 1 is not `true`.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag, model_validator

from cartsim.scenario.behaviour import Behaviour
from cartsim.scenario.strict import Strict
from cartsim.scenario.sweep_block import SweepBlock
from cartsim.scenario.value import Costs, Utilities

SCHEMA_ID = "cartsim/scenario/1"

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]
ArmId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=32)]
#: A value of the evidence registry: a number or a list of numbers.
RegistryValue = float | list[float]
CrsScaleName = Literal["astct2019", "lee2014", "penn", "ctcae5", "cartox2018"]
SubjectTable = Literal["adsl", "adae", "adcm", "adex", "adtte", "grade_intervals"]
#: Occupancy is a result by arm, not by subject, and only written when named.
TableName = SubjectTable | Literal["occupancy"]
HarmDrug = Literal["tocilizumab", "steroid", "anakinra"]
MarkerName = Literal["il6", "crp", "ferritin", "temperature", "tocilizumab"]
Share = Annotated[float, Field(ge=0, le=1)]
Interval = Annotated[float, Field(gt=0, le=168)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]


class Study(Strict):
    """What is asked, for what use, over which time."""

    question: str = Field("", description="The question this scenario answers, in one sentence.")
    context_of_use: str = Field("", description="Who will use the answer, and for what.")
    horizon_days: int = Field(30, ge=1, le=90, description="Follow-up after infusion, days.")


class LogNormal(Strict):
    """Log-normal distribution by its median and coefficient of variation, cut to [low, high] where given."""

    dist: Literal["lognormal"]
    median: float = Field(gt=0)
    cv: float = Field(ge=0, le=3, description="Coefficient of variation: standard deviation over mean.")
    low: float | None = Field(None, ge=0)
    high: float | None = Field(None, gt=0)
    source: str | None = None

    @model_validator(mode="after")
    def _ordered(self) -> "LogNormal":
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low is {self.low:g} and high is {self.high:g}; low must be below high")
        return self


class TruncatedNormal(Strict):
    """Normal distribution cut to [low, high]; mean and sd are those before the cut."""

    dist: Literal["truncnorm"]
    mean: float
    sd: float = Field(gt=0)
    low: float
    high: float
    source: str | None = None

    @model_validator(mode="after")
    def _ordered(self) -> "TruncatedNormal":
        if self.low >= self.high:
            raise ValueError(f"low is {self.low:g} and high is {self.high:g}; low must be below high")
        return self


def _distribution_kind(value: Any) -> str | None:
    if isinstance(value, dict):
        kind = value.get("dist")
        return kind if kind in ("lognormal", "truncnorm") else None
    if isinstance(value, LogNormal | TruncatedNormal):
        return value.dist
    return "number"


Distribution = Annotated[
    Annotated[float, Tag("number")]
    | Annotated[LogNormal, Tag("lognormal")]
    | Annotated[TruncatedNormal, Tag("truncnorm")],
    Discriminator(
        _distribution_kind,
        custom_error_type="unknown_distribution",
        custom_error_message="a number or a distribution with `dist: lognormal` (median, cv) or "
        "`dist: truncnorm` (mean, sd, low, high) is needed",
    ),
]

#: Values outside these are almost surely given in another unit (g for kg, umol/L for mg/dL).
PLAUSIBLE: dict[str, tuple[float, float, str]] = {
    "age_years": (0.0, 120.0, "years"),
    "weight_kg": (2.0, 350.0, "kg"),
    "ldh_u_per_l": (20.0, 50_000.0, "U/L"),
    "ferritin_ng_per_ml": (1.0, 200_000.0, "ng/mL"),
    "crp_mg_per_l": (0.01, 1_000.0, "mg/L"),
    "platelets_1e9_per_l": (1.0, 3_000.0, "1e9/L"),
    "creatinine_mg_per_dl": (0.05, 25.0, "mg/dL"),
    "cell_dose_1e6": (0.001, 100_000.0, "1e6 cells"),
}


class Population(Strict):
    """How many subjects, and which covariates differ from the product's published baseline table.

    With a `file` the subjects are the patients in it (docs/cohorts.md), as many as it has unless `subjects` says so.
    """

    subjects: int = Field(1000, ge=0, le=100_000_000)
    file: str | None = Field(
        None, min_length=1, description="Cohort file (.csv or .parquet) beside the scenario."
    )
    sample: Literal["all", "with_replacement", "without_replacement"] = Field(
        "all", description="How subjects are taken from the file."
    )
    missing: Literal["refuse", "draw"] = Field(
        "refuse", description="Covariates missing in the file: refused, or drawn given those that are there."
    )
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="sha256 that the file must have; a resolved scenario says it.",
    )
    age_years: Distribution | None = None
    weight_kg: Distribution | None = None
    ldh_u_per_l: Distribution | None = None
    ferritin_ng_per_ml: Distribution | None = None
    crp_mg_per_l: Distribution | None = None
    platelets_1e9_per_l: Distribution | None = None
    creatinine_mg_per_dl: Distribution | None = None
    cell_dose_1e6: Distribution | None = None
    male_share: Share | None = None
    high_burden_share: Share | None = None
    prior_neuro_share: Share | None = None


class Grading(Strict):
    """Scales of the reported grades; each policy reads its triggers on the policy's own scale."""

    crs: CrsScaleName = "astct2019"
    icans: Literal["astct2019"] = "astct2019"


class Monitoring(Strict):
    """Hours between assessments by setting, and where the subject is at infusion."""

    ward_h: Interval = 6.0
    icu_h: Interval = 2.0
    clinic_h: Interval = 24.0
    home_h: Interval = 24.0
    start: Literal["inpatient", "outpatient"] = "inpatient"


class ProductBlock(Strict):
    """A product of the registry with some of its numbers changed."""

    base: str = Field(description="Id of a product of the evidence registry (`cartsim products`).")
    name: str | None = None
    overrides: dict[str, RegistryValue] = Field(
        default_factory=dict, description="Numbers of the product by short name, such as `crs_mu`."
    )
    dose_cells_1e6: float | None = Field(None, gt=0, description="Planned cell dose, 1e6 cells.")
    costimulation: Literal["CD28", "4-1BB"] | None = Field(
        None,
        description="Domain of the construct: which rules apply (`cd28`). Its kinetics are `overrides`.",
    )
    status: Literal["reported", "derived", "calibrated", "assumed"] | None = Field(
        None, description="What the overrides rest on, in the words of the evidence registry."
    )
    source: str | None = Field(None, min_length=1, description="Where the overrides come from, or why.")


class Levers(Strict):
    """What is done before infusion; null: as in the product's published cohorts. Sizes: `cartsim evidence levers`."""

    lymphodepletion: Literal["none", "flu_cy", "high_dose"] | None = Field(
        None, description="Fludarabine and cyclophosphamide (flu_cy) is what published cohorts had."
    )
    bridging_share: Share | None = Field(
        None, description="Share of subjects given bridging therapy that may reduce the disease burden."
    )


class Arm(Strict):
    """One policy applied to the whole cohort; subjects are the same in every arm."""

    id: ArmId
    label: str | None = None
    policy: str | dict[str, Any] = Field(
        description="Id of a policy (`cartsim policies`) or a policy block, often with `extends`."
    )
    prophylaxis: list[str] = Field(default_factory=list, description="Ids of prophylaxis modules.")
    model: dict[str, RegistryValue] = Field(
        default_factory=dict, description="Registry numbers changed in this arm only."
    )
    levers: Levers | None = Field(None, description="Instead of the scenario's levers, in this arm.")
    behaviour: Behaviour | None = Field(None, description="On top of the scenario's behaviour, in this arm.")


class Restock(Strict):
    """Regular delivery of tocilizumab."""

    every_h: float = Field(gt=0)
    doses: int = Field(ge=1, le=1_000_000)


class Arrivals(Strict):
    """When subjects come for infusion: exactly one of the three ways."""

    every_h: float | None = Field(None, gt=0)
    at_h: list[Annotated[float, Field(ge=0)]] | None = Field(None, min_length=1)
    poisson_per_day: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _one_way(self) -> "Arrivals":
        given = [key for key in ("every_h", "at_h", "poisson_per_day") if getattr(self, key) is not None]
        if len(given) != 1:
            got = " and ".join(given) or "none of them"
            raise ValueError(f"got {got}; exactly one of every_h, at_h, poisson_per_day is needed")
        if self.at_h is not None and sorted(self.at_h) != self.at_h:
            raise ValueError("at_h must be in rising order")
        return self


class Site(Strict):
    """What is scarce; null means unlimited. A site chooses the ward driver."""

    beds: Count | None = None
    icu_beds: Count | None = None
    tocilizumab_doses: Count | None = Field(None, description="Doses in stock at the start.")
    restock: Restock | None = None
    arrivals: Arrivals


class ModelBlock(Strict):
    """Registry numbers changed in every arm, and which set of uncertain numbers is used."""

    overrides: dict[str, RegistryValue] = Field(default_factory=dict)
    draw: int | None = Field(
        None,
        ge=0,
        le=2**31 - 1,
        description="Parameter set: every uncertain number is drawn from its evidence; null: as they stand.",
    )
    pharmacokinetics: Literal["linear", "moes", "frey"] = Field(
        "linear",
        description="How the concentration of tocilizumab falls: linear elimination, or a published model with a "
        "saturable route (registry: pharmacokinetics).",
    )


class Run(Strict):
    """Randomness: the seed has no default, so that every result can be repeated."""

    seed: int | None = Field(None, ge=0, le=2**63 - 1)
    replicates: int = Field(1, ge=1, le=10_000)
    source: Literal["philox", "sobol"] = "philox"
    parameter_draws: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Parameter sets under which the same subjects are run: results are then means over them, with "
        "parameter uncertainty beside Monte Carlo error; 0: every number as it stands.",
    )

    @model_validator(mode="after")
    def _several_sets(self) -> "Run":
        if self.parameter_draws == 1:
            raise ValueError(
                "parameter_draws is 1, and one parameter set shows no uncertainty; 2 or more (100 for an interval), "
                "0 for every number as it stands, or model.draw for one chosen set"
            )
        return self


class Biomarkers(Strict):
    """Samples of biomarkers, from infusion on: tables adlb and advs. Rules that look at a sample need them too."""

    every_h: int = Field(12, ge=1, le=168, description="Hours between samples, whole hours.")
    markers: list[MarkerName] = Field(
        default_factory=lambda: list(get_args(MarkerName)),
        min_length=1,
        description="What is written; tocilizumab is its concentration and receptor occupancy.",
    )


class Harms(Strict):
    """Reactions to drugs and infections, worked out after each course from what was given; the course is as without."""

    drugs: list[HarmDrug] = Field(
        default_factory=lambda: list(get_args(HarmDrug)),
        min_length=1,
        description="Whose reactions are followed.",
    )
    infection_per_tocilizumab_dose: bool = Field(
        False,
        description="Let each dose of tocilizumab raise the odds of infection; evidence is contradictory.",
    )


class Outputs(Strict):
    """Which subject tables are written, how much of the event log, and which endpoints are summarised."""

    tables: list[TableName] = Field(
        default_factory=lambda: list(get_args(SubjectTable)),
        description="Subject tables; adsl comes with any other, and [] writes none at all. `occupancy` is the share "
        "at each grade by arm and day.",
    )
    events: Literal["off", "sample", "all"] = "off"
    endpoints: list[str] | None = Field(
        None, min_length=1, description="Endpoints to summarise; null: every one of them."
    )
    biomarkers: Biomarkers | None = None


class ScenarioFile(Strict):
    """The whole file. `schema` names the format, so that an old file is never read by new rules."""

    schema_id: Literal["cartsim/scenario/1"] = Field(alias="schema")
    id: Identifier
    title: str = Field(min_length=1)
    study: Study = Field(default_factory=Study)
    product: str | ProductBlock
    population: Population = Field(default_factory=Population)
    levers: Levers | None = None
    grading: Grading = Field(default_factory=Grading)
    monitoring: Monitoring = Field(default_factory=Monitoring)
    behaviour: Behaviour | None = Field(None, description="Habits of the site; null: as in the registry.")
    model: ModelBlock = Field(default_factory=ModelBlock)
    arms: list[Arm] = Field(min_length=1)
    reference: ArmId | None = Field(
        None, description="Arm that the others are compared with; default: first."
    )
    site: Site | None = None
    run: Run = Field(default_factory=Run)
    harms: Harms | None = Field(None, description="Reactions to drugs; null: not asked for.")
    sweep: SweepBlock | None = None
    trial: None = None
    outputs: Outputs = Field(default_factory=Outputs)
    subgroups: dict[Identifier, dict[str, Any]] | None = Field(
        None,
        min_length=1,
        description="Name: conditions on what was known at infusion; every endpoint is reported for each of them too.",
    )
    costs: Costs | None = None
    utilities: Utilities | None = None
