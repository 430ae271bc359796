"""Why: a policy is data that a clinician can read, change and sign, so everything it may say is declared here once.

Strict: unknown keys and silent conversions are errors, units stand in the keys. `model_dump()` gives back plain
data with nothing but what was said, and loading that again gives the same policy. The order of `rules` matters:
they are walked in file order.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from cartsim.policy.conditions import SAMPLED
from cartsim.policy.values import (
    AtLeast,
    Before,
    Count,
    Level,
    Number,
    SignedNumber,
    Stop,
    Times,
    refuse,
)

DrugName = Literal["tocilizumab", "dexamethasone", "methylprednisolone", "anakinra"]
ScaleName = Literal["astct2019", "lee2014", "penn", "ctcae5", "cartox2018"]
NeuroScaleName = Literal["astct2019", "ctcae"]
Status = Literal["read", "partly_read", "recalled", "assumed", "own"]
RuleId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=48)]
Milligrams = Annotated[float, Field(gt=0)]
Hours = Annotated[float, Field(gt=0, le=24 * 90)]


class Strict(BaseModel):
    """Unknown keys and silent conversions are errors; what was not said is not dumped."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, serialize_by_alias=True
    )

    @model_serializer(mode="wrap")
    def _said(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}


class Covariates(Strict):
    """Conditions on what is known of the subject before infusion; all must hold (any, under `when_any`)."""

    age_years: Number = None
    weight_kg: Number = None
    high_burden: bool | None = None
    comorbid: bool | None = None
    prior_neuro: bool | None = None
    cd28: bool | None = Field(None, description="The product has a CD28 domain.")
    ferritin_ng_per_ml: Number = None
    crp_mg_per_l: Number = None
    ldh_u_per_l: Number = None
    platelets_1e9_per_l: Number = None
    easix: Number = None
    risk: SignedNumber = None

    def said(self) -> dict[str, Any]:
        """The conditions that are there, in the order of the schema."""
        return {key: value for key in type(self).model_fields if (value := getattr(self, key)) is not None}

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.said():
            raise refuse("no condition is given", "leave the key out, or say when it holds")
        return self


class When(Covariates):
    """Conditions of a rule; all must hold at the assessment."""

    crs: Level = Field(None, description="CRS grade on the policy's scale.")
    icans: Level = None
    ne: Level = Field(None, description="Wide CTCAE neurologic event grade.")
    bp_support: Level = None
    oxygen: Level = None
    liver: Level = None
    kidney: Level = None
    neuro: Level = Field(None, description="ICE level, 0 (10 points) to 4 (unarousable).")
    fever: bool | None = None
    temperature_c: AtLeast = None
    for_h: AtLeast = Field(None, description="The grade and sign conditions have held this long.")
    since_onset_h: AtLeast = None
    onset_before_h: Before = Field(None, description="CRS began earlier than this after infusion.")
    since_first_toci_h: AtLeast = Field(None, description="Prophylactic doses do not count.")
    since_last_toci_h: AtLeast = None
    since_first_steroid_h: AtLeast = Field(None, description="Prophylactic doses do not count.")
    awaiting_toci_h: AtLeast = Field(None, description="A dose is asked for and not granted for this long.")
    toci_doses: Count = None
    steroid_doses: Count = None
    anakinra_doses: Count = None
    improved: bool | None = None
    sampled_il6_pg_per_ml: Number = Field(
        None, description="IL-6 in the newest sample that the laboratory has reported (outputs.biomarkers)."
    )
    sampled_crp_mg_per_l: Number = Field(
        None, description="CRP in that sample; crp_mg_per_l is the baseline."
    )
    sampled_ferritin_ng_per_ml: Number = None
    sampled_temperature_c: Number = Field(
        None, description="At a sampling time; temperature_c is at every look."
    )
    sampled_within_h: Hours | None = Field(None, description="The sample was taken at most this long ago.")

    @model_validator(mode="after")
    def _of_a_sample(self) -> Self:
        if self.sampled_within_h is not None and not any(getattr(self, key) is not None for key in SAMPLED):
            raise refuse("sampled_within_h is given, but nothing that is sampled", "sampled_crp_mg_per_l")
        return self


class Until(Strict):
    """An order stops when all of these are at or below what is said."""

    crs: Stop = None
    icans: Stop = None
    ne: Stop = None
    bp_support: Stop = None
    oxygen: Stop = None

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.model_dump():
            raise refuse("no stop condition is given", '{crs: "<=1"}')
        return self


class TaperStep(Strict):
    """One step of a taper of the same drug."""

    mg: Milligrams
    every_h: Hours
    doses: int = Field(ge=1, le=1000)


class Give(Strict):
    """What a rule orders. Tocilizumab takes its labelled dose unless a lower one is said."""

    drug: DrugName
    mg: Milligrams | None = None
    mg_per_kg: Milligrams | None = None
    cap_mg: Milligrams | None = Field(None, description="Largest single dose of an order in mg/kg.")
    every_h: Hours | None = None
    max_doses: int | None = Field(None, ge=1, le=1000)
    repeat_h: Hours | None = Field(None, description="Tocilizumab: hours from the last dose to a repeat.")
    while_: Literal["not_improved"] | None = Field(None, alias="while")
    schedule: str | None = Field(None, description="Named steps, see data/schedules.yaml.")
    until: Until | None = None
    taper: Annotated[
        Any,
        WithJsonSchema({"anyOf": [{"enum": ["rapid", "slow", "none"]}, {"type": "array", "minItems": 1}]}),
    ] = None
    route: Literal["iv", "oral", "sc"] | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.mg is not None and self.mg_per_kg is not None:
            raise refuse("both mg and mg_per_kg are given", "keep one of the two")
        if self.cap_mg is not None and self.mg_per_kg is None and self.drug != "tocilizumab":
            raise refuse("cap_mg limits a dose in mg/kg, and mg_per_kg is not given", "mg_per_kg: 1")
        if self.drug == "tocilizumab":
            self._only_for_others()
        else:
            self._needs_a_course()
        self.taper_steps()
        return self

    def _only_for_others(self) -> None:
        for key, mend in {
            "cap_mg": "leave it out: the labelled cap belongs to the drug",
            "every_h": "repeat_h",
            "schedule": "repeat_h and max_doses",
            "until": "while: not_improved",
            "taper": "nothing: tocilizumab has no taper",
        }.items():
            if getattr(self, key) is not None:
                raise refuse(f"{key} does not apply to tocilizumab, which is given dose by dose", mend)
        if self.max_doses is not None and self.max_doses > 1 and self.repeat_h is None:
            raise refuse(f"max_doses is {self.max_doses} but repeat_h is not given", "repeat_h: 8")

    def _needs_a_course(self) -> None:
        if self.repeat_h is not None or self.while_ is not None:
            raise refuse(
                f"repeat_h and while apply to tocilizumab only, not to {self.drug}", "every_h and until"
            )
        dosed = self.mg is not None or self.mg_per_kg is not None
        if self.schedule is not None:
            if dosed or self.every_h is not None or self.max_doses is not None:
                raise refuse(
                    f"schedule {self.schedule!r} already says doses and intervals", "leave out mg, every_h"
                )
            return
        if not dosed:
            raise refuse(f"the dose of {self.drug} is missing, or has no unit", "mg: or mg_per_kg:")
        lasting = self.until is not None or (self.max_doses or 1) > 1
        if lasting and self.every_h is None:
            raise refuse("a repeated dose needs an interval", "every_h: 6")
        if self.every_h is not None and self.until is None and self.max_doses is None:
            raise refuse("the course never ends", 'until: {crs: "<=1"} or max_doses:')
        if self.taper not in (None, "none") and not lasting:
            raise refuse("a single dose has no taper", "leave taper out")

    def taper_steps(self) -> list[TaperStep] | None:
        """Explicit taper, or None when it is a name or absent."""
        if self.taper is None or isinstance(self.taper, str):
            if self.taper not in (None, "rapid", "slow", "none"):
                raise refuse(
                    f"{self.taper!r} is no taper", "rapid, slow, none or a list of {mg, every_h, doses}"
                )
            return None
        if not isinstance(self.taper, list) or not self.taper:
            raise refuse("a taper is a name or a list of steps", "[{mg: 10, every_h: 24, doses: 2}]")
        return [TaperStep.model_validate(step) for step in self.taper]


class Source(Strict):
    """Where a policy or a rung was read."""

    citation: str
    doi: str | None = None
    read: int | str | None = Field(None, description="Edition or year of what was read.")


class Rule(Strict):
    """One rung: when it holds, this is ordered."""

    when: When
    give: Give | None = None
    treat_as: str | None = Field(None, description="Id of the rule whose order this rung shares.")
    care: Literal["icu"] | None = None
    replaces: str | None = Field(None, description="Id of the weaker rung that this one takes over from.")
    for_: Literal["crs", "icans", "ne"] | None = Field(None, alias="for")
    source: str | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _orders_something(self) -> Self:
        if self.give is not None and self.treat_as is not None:
            raise refuse("both give and treat_as are given", "keep one of the two")
        if self.give is None and self.treat_as is None and self.care is None:
            raise refuse("the rule orders nothing", "give:, treat_as: or care: icu")
        return self


class Prophylactic(Strict):
    """A dose by the clock, not by signs; `when` and `when_any` choose the subjects."""

    drug: DrugName
    at_h: Times = Field(description="Hours from infusion; negative is before it.")
    mg: Milligrams | None = None
    mg_per_kg: Milligrams | None = None
    route: Literal["iv", "oral", "sc"] | None = None
    when: Covariates | None = None
    when_any: Covariates | None = None
    source: str | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _dosed(self) -> Self:
        if self.mg is not None and self.mg_per_kg is not None:
            raise refuse("both mg and mg_per_kg are given", "keep one of the two")
        if self.drug != "tocilizumab" and self.mg is None and self.mg_per_kg is None:
            raise refuse(f"the dose of {self.drug} is missing, or has no unit", "mg: or mg_per_kg:")
        return self

    def times_h(self) -> list[float]:
        """Hours from infusion, ascending."""
        return sorted(float(time) for time in (self.at_h if isinstance(self.at_h, list) else [self.at_h]))


class Module(Strict):
    """Prophylaxis that combines with any policy."""

    id: RuleId
    title: str
    source: Source | None = None
    date: int | str | None = None
    unverified: list[str] = Field(default_factory=list)
    approximates: str | None = None
    status: Status = "own"
    prophylaxis: dict[RuleId, Prophylactic]


class Policy(Strict):
    """Rules from assessment to orders, and doses by the clock. `extends` and `add` are already resolved."""

    id: RuleId = "custom"
    title: str = ""
    scale: ScaleName = Field(description="The scale on which CRS grades in `when` are read.")
    neuro_scale: NeuroScaleName = "astct2019"
    source: Source | None = None
    date: int | str | None = None
    status: Status = "own"
    approximates: str | None = None
    levetiracetam: bool = Field(
        False, description="Seizure prophylaxis throughout; lowers the seizure hazard only."
    )
    unverified: list[str] = Field(default_factory=list)
    derived_from: list[str] = Field(
        default_factory=list, description="Policies and modules this was made from."
    )
    rules: dict[RuleId, Rule] = Field(default_factory=dict)
    prophylaxis: dict[RuleId, Prophylactic] = Field(default_factory=dict)
