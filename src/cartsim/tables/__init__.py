"""Output tables from the engine's arrays: one function per table, for one arm of one block of subjects."""

from cartsim.tables.columns import Identity
from cartsim.tables.intervals import events, grade_intervals
from cartsim.tables.markers import adlb, advs
from cartsim.tables.occurrences import adae, adcm
from cartsim.tables.subjects import adex, adsl
from cartsim.tables.times import adtte
from cartsim.tables.ward import ward_occupancy, ward_stockouts, ward_waits

__all__ = [
    "Identity",
    "adae",
    "adcm",
    "adex",
    "adlb",
    "adsl",
    "adtte",
    "advs",
    "events",
    "grade_intervals",
    "ward_occupancy",
    "ward_stockouts",
    "ward_waits",
]
