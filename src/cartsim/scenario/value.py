"""Why: what a policy costs depends on prices that differ between hospitals and years, and what a bad day is worth on
whose judgement is asked. Both are therefore the user's own numbers, with a currency, a year and a source, and there is
no default for any of them.
"""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from cartsim.scenario.strict import Strict

Price = Annotated[float, Field(ge=0)]
Decrement = Annotated[float, Field(ge=0, le=1)]
#: Grades that can last; a death is not a state that is lived in.
LASTING_GRADES = ("1", "2", "3", "4")


def _sizes(given: dict[str, float]) -> dict[str, float]:
    for size in given:
        try:
            mg = float(size)
        except ValueError:
            mg = 0.0
        if not 0 < mg < float("inf"):
            raise ValueError(
                f"`{size}` is no size in mg; sizes are keys and prices values, such as {{200: 90}}"
            )
    return given


def _grades(given: dict[str, float]) -> dict[str, float]:
    for grade in given:
        if grade not in LASTING_GRADES:
            raise ValueError(f"`{grade}` is no grade that lasts; grades are {', '.join(LASTING_GRADES)}")
    return given


def _currency(given: str) -> str:
    if len(given) != len("EUR") or not given.isascii() or not given.isalpha() or given != given.upper():
        raise ValueError(f'got "{given}"; a currency has three capital letters, such as EUR')
    return given


#: Size in mg -> price of one.
PackPrices = Annotated[dict[str, Price], AfterValidator(_sizes), Field(min_length=1)]
GradeDecrements = Annotated[dict[str, Decrement], AfterValidator(_grades), Field(min_length=1)]


class Costs(Strict):
    """Unit prices of the user; what has no price is counted and costs nothing."""

    currency: Annotated[str, AfterValidator(_currency)] = Field(description="ISO 4217, such as EUR.")
    year: int = Field(ge=1990, le=2100, description="Year of the prices.")
    source: str = Field("", description="Where the prices come from.")
    tocilizumab_vial_mg: PackPrices | None = Field(
        None, description="Size in mg: price of a vial; each dose takes the cheapest vials that hold it."
    )
    anakinra_syringe_mg: PackPrices | None = Field(None, description="Size in mg: price of a syringe.")
    dexamethasone_mg: Price | None = Field(
        None, description="Price of 1 mg dexamethasone equivalent, whichever steroid was given."
    )
    ward_day: Price | None = None
    icu_day: Price | None = Field(None, description="Instead of a ward day, not on top of it.")
    ventilation_day: Price | None = Field(None, description="On top of the ICU day.")
    monitoring_day: Price | None = Field(
        None,
        description="Day alive and out of hospital while the site still watches (behaviour.clinic_watch_d).",
    )
    visit: Price | None = Field(None, description="Visit to the clinic, one every monitoring.clinic_h.")
    severe_from: int = Field(
        3, ge=1, le=4, description="Grade from which a CRS counts in the cost per CRS avoided (observed)."
    )

    @model_validator(mode="after")
    def _some_price(self) -> "Costs":
        if not self.model_dump(exclude={"currency", "year", "source", "severe_from"}, exclude_none=True):
            raise ValueError("no price is given; try: ward_day: 600, or `costs: null`")
        return self


class Utilities(Strict):
    """Decrements of the user by event and grade, for the time spent at that grade as it was seen."""

    source: str = Field("", description="Where the decrements come from.")
    crs: GradeDecrements | None = Field(None, description="Grade: what a day at it takes away, 0 to 1.")
    icans: GradeDecrements | None = None
    alive: Decrement | None = Field(
        None,
        description="Utility of a day without events: what each day after a death loses, and the most that events "
        "take from a day. Null: deaths lose nothing.",
    )

    @model_validator(mode="after")
    def _some_decrement(self) -> "Utilities":
        if self.crs is None and self.icans is None:
            raise ValueError("no decrement is given; try: crs: {3: 0.2, 4: 0.2}, or `utilities: null`")
        return self
