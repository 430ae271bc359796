"""Why: what a laboratory found and what drugs did beside their purpose belong to a course too, where a scenario
asks for them. Neither acts back on it.
"""

from collections.abc import Iterator

from cartsim.record.subject_tables import REACTION_TERMS
from cartsim.story.event import Event
from cartsim.story.lives import Life
from cartsim.story.words import drug_name, lasting
from cartsim.terms import HOURS_PER_DAY, Drug, HarmSource, Marker, Reaction

#: Words, unit and decimals of what is told of a sample.
_MARKERS = {
    Marker.IL6: ("IL-6", "pg/mL", 0),
    Marker.CRP: ("CRP", "mg/L", 0),
    Marker.FERRITIN: ("ferritin", "ng/mL", 0),
    Marker.TEMPERATURE: ("temperature", "°C", 1),
    Marker.TOCILIZUMAB: ("tocilizumab", "mg/L", 0),
}


def samples(life: Life) -> Iterator[Event]:
    """Biomarkers at the times of the scenario's schedule; all of them as data, those that are not 0 in words."""
    for row in life.ran.block.samples:
        values = {marker.name: float(row["value"][marker]) for marker in Marker}
        told = [
            f"{name} {values[marker.name]:,.{decimals}f} {unit}"
            for marker, (name, unit, decimals) in _MARKERS.items()
            if values[marker.name]
        ]
        yield Event(int(row["hour"]) / HOURS_PER_DAY, "sample", ", ".join(told), data=values)


def reactions(life: Life) -> Iterator[Event]:
    """Reactions to drugs and infections, at their start."""
    end = float(life.course["end"][0])
    for row in life.ran.harms.rows if life.ran.harms is not None else ():
        reaction, related = Reaction(int(row["reaction"])), int(row["source"]) != HarmSource.BACKGROUND
        start, stop = float(row["t_start"]), float(row["t_end"])
        text = f"{REACTION_TERMS[reaction].lower()} grade {int(row['grade'])}"
        text += f", by {drug_name(int(row['drug']))}" if related else ", of no drug"
        text += ", serious" if row["serious"] else ""
        text += ", taken for ICANS by whoever sees it" if row["mistaken"] else ""
        text += f", for {lasting(stop - start)}" if stop <= end else ", to the end of follow-up"
        data = {
            "reaction": reaction.name, "grade": int(row["grade"]), "serious": bool(row["serious"]),
            "drug": Drug(int(row["drug"])).name if related else None, "cmseq": int(row["cmseq"]) if related else None,
            "mistaken_icans": bool(row["mistaken"]), "t_end_d": min(stop, end),
        }  # fmt: skip
        yield Event(start, "reaction", text, data=data)
