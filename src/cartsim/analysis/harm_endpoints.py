"""Why: what a drug does to people stands beside what it does for them, with the same estimand, interval and number
needed to harm. These endpoints are there where a scenario has a block `harms`, and none is calibrated."""

from collections.abc import Collection

from cartsim.analysis.endpoints import ASSUMED, Endpoint
from cartsim.record.harm_columns import harm_columns

#: (endpoint and column of adsl, title)
_SHARES = (
    ("drug_reactions", "Any reaction to a drug, infections by it included"),
    ("drug_reaction_ge3", "Reaction to a drug, grade 3 or more"),
    ("toci_reaction", "Reaction to an infusion of tocilizumab"),
    ("hypersensitivity", "Hypersensitivity to tocilizumab"),
    ("neutropenia", "Neutropenia by a drug"),
    ("hepatotoxicity", "Increase of ALT by a drug"),
    ("hyperglycaemia", "Hyperglycaemia by steroids"),
    ("psychiatric", "Psychiatric reaction to steroids"),
    ("mistaken_icans", "Drug reaction mistaken for ICANS"),
    ("injection_site", "Injection-site reaction"),
    ("infection", "Infection, whatever it came from"),
    ("severe_infection", "Infection of grade 3 or more, whatever it came from"),
    ("drug_infection", "Infection by a drug, beyond those that come anyway"),
)


def harm_endpoints(drugs: Collection[str]) -> tuple[Endpoint, ...]:
    """Endpoints of a run in which reactions to `drugs` are followed, in reporting order; none without drugs."""
    filled = harm_columns(drugs)
    return tuple(
        Endpoint(id_, title, "risk", "level", id_, "proportion", adverse=True, evidence_status=ASSUMED)
        for id_, title in _SHARES
        if id_ in filled
    )
