"""Why: what drugs did to subjects is said in adsl in the same words by whoever fills it, summarises it or writes the
data dictionary: one line a column, with the drugs that can fill it."""

from collections.abc import Collection

from cartsim.record.kinds import I1, Column, added

TOCILIZUMAB, STEROID, ANAKINRA = "tocilizumab", "steroid", "anakinra"
#: Drugs of a scenario's block `harms`.
HARM_DRUGS = (TOCILIZUMAB, STEROID, ANAKINRA)
_OFF = "Null unless the scenario has a block `harms` with {}."
_FLAG = "1 yes, 0 no."


def _column(
    name: str, label: str, drugs: tuple[str, ...], what: str = "", top: int = 1
) -> tuple[Column, tuple[str, ...]]:
    said = _OFF.format(" or ".join(drugs) if len(drugs) < len(HARM_DRUGS) else "any drug")
    flag = _FLAG if top == 1 else ""
    return added(name, I1, label, "", " ".join(part for part in (what, flag, said) if part), top=top), drugs


_LINES = (
    _column("drug_reactions", "Kinds of drug reaction", HARM_DRUGS, "Infections by a drug included.", top=8),
    _column("drug_reaction_ge3", "Drug reaction of grade 3 or more", HARM_DRUGS, "CTCAE 5.0."),
    _column(
        "toci_reaction",
        "Reaction to a tocilizumab infusion",
        (TOCILIZUMAB,),
        "Infusion reaction or hypersensitivity.",
    ),
    _column("hypersensitivity", "Hypersensitivity", (TOCILIZUMAB,)),
    _column(
        "neutropenia",
        "Neutropenia by a drug",
        (TOCILIZUMAB, ANAKINRA),
        "That of lymphodepletion is not in it.",
    ),
    _column("hepatotoxicity", "ALT increased by a drug", (TOCILIZUMAB,), "Liver signs of CRS are liver_max."),
    _column("hyperglycaemia", "Hyperglycaemia by steroids", (STEROID,)),
    _column("psychiatric", "Psychiatric reaction to steroids", (STEROID,)),
    _column(
        "mistaken_icans",
        "Drug reaction mistaken for ICANS",
        (STEROID,),
        "A psychiatric one; the course does not know.",
    ),
    _column("injection_site", "Injection-site reaction", (ANAKINRA,)),
    _column("infection", "Infection of any grade", HARM_DRUGS, "Whatever it came from."),
    _column("severe_infection", "Infection of grade 3 or more", HARM_DRUGS, "Whatever it came from."),
    _column("drug_infection", "Infection by a drug", HARM_DRUGS, "Beyond those that come anyway."),
)
HARM_COLUMNS: tuple[Column, ...] = tuple(column for column, _ in _LINES)


def harm_columns(drugs: Collection[str]) -> tuple[str, ...]:
    """Columns that are filled where `drugs` are followed; none where there are none."""
    return tuple(column.name for column, by in _LINES if set(by) & set(drugs))
