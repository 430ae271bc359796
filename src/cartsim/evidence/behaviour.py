"""Why: how a site works is half of every published table, and whoever writes a scenario knows it in the site's words.
Here those words, the keys of the scenario's block `behaviour`, are tied to the numbers of the registry.
"""

from collections.abc import Mapping
from types import MappingProxyType

#: Path below `behaviour` in a scenario -> key of the registry; a pair of hours is two numbers.
BEHAVIOUR_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "admit_from.crs": "behaviour.admit_crs_grade",
        "admit_from.icans": "behaviour.admit_icans_grade",
        "icu_from.bp": "behaviour.icu_bp_level",
        "icu_from.oxygen": "behaviour.icu_oxygen_level",
        "icu_from.neuro": "behaviour.icu_neuro_level",
        "icu_out_h": "behaviour.icu_out_h",
        "iv_fever_share": "behaviour.iv_fever_share",
        "discharge.clear_h": "behaviour.discharge_clear_h",
        "discharge.neuro_max": "behaviour.discharge_neuro_level",
        "discharge.min_stay_d": "behaviour.min_stay_d",
        "order_delay_h.0": "behaviour.order_delay_min_h",
        "order_delay_h.1": "behaviour.order_delay_max_h",
        "travel_delay_h": "behaviour.travel_delay_h",
        "adherence_grade1": "behaviour.adherence_grade1",
        "antipyretics.share": "behaviour.antipyretic_share",
        "antipyretics.lowers_c": "behaviour.antipyretic_lowers_c",
        "antipyretics.from_infusion": "behaviour.antipyretic_from_infusion",
    }
)
