"""The numbers the clinic runs on: one field, one registry key.

Registry values enter compiled functions through this record and never as globals, so that a changed number can
never hide in a stale compiled cache. `{product}` in a key is filled with the product's id.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

#: field -> (registry key, length; 0 for a scalar). The order is the order in memory.
FIELDS: dict[str, tuple[str, int]] = {
    # disease curves (MODEL 1)
    "mu": ("product.{product}.crs_mu", 0),
    "sigma": ("product.{product}.crs_sigma", 0),
    "peak_d": ("product.{product}.crs_peak_d", 0),
    "peak_spread": ("product.{product}.crs_peak_spread", 0),
    "ascent": ("product.{product}.crs_ascent_per_d", 0),
    "decline": ("product.{product}.crs_decline_per_d", 0),
    "mu_n": ("product.{product}.icans_mu", 0),
    "sigma_n": ("product.{product}.icans_sigma", 0),
    "lag_d": ("product.{product}.icans_lag_d", 0),
    "decline_n": ("product.{product}.icans_decline_per_d", 0),
    "ascent_n": ("disease.icans_ascent_per_d", 0),
    "lag_sd_d": ("disease.icans_lag_sd_d", 0),
    "k_skew": ("disease.skew", 0),
    "rho": ("disease.frailty_correlation", 0),
    "c_na": ("disease.icans_without_crs_penalty", 0),
    "c_na_from": ("disease.icans_without_crs_from", 0),
    "ramp_d": ("disease.engraftment_d", 0),
    "support_lag_d": ("disease.support_lag_d", 0),
    "wide_decline_ratio": ("disease.wide_decline_ratio", 0),
    "ascent_spread": ("disease.ascent_spread", 0),
    "decline_spread": ("disease.decline_spread", 0),
    "icans_peak_min_d": ("disease.icans_peak_min_d", 0),
    "risk_weight": ("disease.risk_weight", 0),
    "dose_slope": ("disease.cell_dose_slope", 0),
    "reference_dose_1e6": ("product.{product}.reference_dose_cells_1e6", 0),
    # tocilizumab (MODEL 2)
    "toci_volume_l": ("tocilizumab.volume_l", 0),
    "toci_elimination": ("tocilizumab.elimination_per_d", 0),
    "toci_kd": ("tocilizumab.kd_mg_per_l", 0),
    "toci_on_support_d": ("tocilizumab.onset_support_d", 0),
    "toci_on_fever_d": ("tocilizumab.onset_fever_d", 0),
    "toci_q": ("tocilizumab.response_quantile", 0),
    "toci_zeta": ("tocilizumab.response_severity", 0),
    "toci_zeta_scale": ("tocilizumab.response_severity_scale", 0),
    "toci_nonresponse": ("tocilizumab.nonresponder_effect", 0),
    "toci_effect": ("tocilizumab.effect", 0),
    "toci_effect_spread": ("tocilizumab.effect_spread", 0),
    "toci_fever_ratio": ("tocilizumab.fever_ratio", 0),
    "toci_fever_compress": ("tocilizumab.fever_compression", 0),
    "toci_fever_from": ("tocilizumab.fever_compression_from", 0),
    "toci_boost": ("tocilizumab.repeat_boost", 0),
    "ln_gamma": ("tocilizumab.icans_shift", 0),
    "toci_mg_per_kg": ("tocilizumab.dose_mg_per_kg", 0),
    "toci_mg_per_kg_light": ("tocilizumab.dose_light_mg_per_kg", 0),
    "toci_light_kg": ("tocilizumab.light_below_kg", 0),
    "toci_cap_mg": ("tocilizumab.cap_mg", 0),
    "toci_infusion_h": ("tocilizumab.infusion_h", 0),
    "toci_spacing_h": ("tocilizumab.spacing_h", 0),
    "toci_max_doses": ("tocilizumab.max_doses", 0),
    # steroids
    "steroid_slow_d": ("steroid.offset_halflife_d", 0),
    "steroid_fast_d": ("steroid.onset_tau_d", 0),
    "steroid_a50_mg": ("steroid.a50_mg", 0),
    "steroid_emax": ("steroid.crs_emax", 0),
    "steroid_emax_n": ("steroid.icans_emax", 0),
    "steroid_spread": ("steroid.effect_spread", 0),
    "steroid_ref_kg": ("steroid.reference_kg", 0),
    "steroid_light_kg": ("steroid.scale_below_kg", 0),
    "methylpred_to_dex": ("steroid.methylprednisolone_to_dexamethasone", 0),
    # anakinra
    "anakinra_slow_d": ("anakinra.offset_halflife_d", 0),
    "anakinra_fast_d": ("anakinra.onset_tau_d", 0),
    "anakinra_b50_mg": ("anakinra.b50_mg", 0),
    "anakinra_crs": ("anakinra.crs_effect", 0),
    "anakinra_icans": ("anakinra.icans_effect", 0),
    # signs (MODEL 3): thresholds by level
    "h": ("signs.bp_support_thresholds", 5),
    "o": ("signs.oxygen_thresholds", 4),
    "liver": ("signs.liver_thresholds", 4),
    "kidney": ("signs.kidney_thresholds", 4),
    "n": ("signs.neuro_thresholds", 4),
    "n_wide": ("signs.wide_neuro_threshold", 0),
    "eps_sd": ("signs.offset_sd", 4),
    "temp_base": ("signs.temperature_base_c", 0),
    "temp_rise": ("signs.temperature_rise_c", 0),
    "temp_slope": ("signs.temperature_slope", 0),
    "temp_mid": ("signs.temperature_midpoint", 0),
    "other_fever_temp": ("signs.other_fever_temperature_c", 0),
    # observation and behaviour (MODEL 4)
    "crs_end_h": ("behaviour.crs_end_window_h", 0),
    "adherence": ("behaviour.adherence_grade1", 0),
    "comorbid_share": ("product.{product}.early_treatment_share", 0),
    "delay_ward_min_h": ("behaviour.order_delay_min_h", 0),
    "delay_ward_max_h": ("behaviour.order_delay_max_h", 0),
    "delay_home_h": ("behaviour.travel_delay_h", 0),
    "iv_fever_share": ("behaviour.iv_fever_share", 0),
    "other_fever_share": ("behaviour.other_fever_share", 0),
    "other_fever_onset_d": ("behaviour.other_fever_onset_d", 0),
    "other_fever_onset_sd_d": ("behaviour.other_fever_onset_sd_d", 0),
    "other_fever_length_d": ("behaviour.other_fever_length_d", 0),
    "other_fever_length_spread": ("behaviour.other_fever_length_spread", 0),
    "antipyretic_share": ("behaviour.antipyretic_share", 0),
    "antipyretic_lowers_c": ("behaviour.antipyretic_lowers_c", 0),
    "antipyretic_from_infusion": ("behaviour.antipyretic_from_infusion", 0),
    "ice_error": ("behaviour.ice_error", 0),
    "improved_grades": ("behaviour.improved_grades", 0),
    "improved_afebrile_h": ("behaviour.improved_afebrile_h", 0),
    "admit_crs": ("behaviour.admit_crs_grade", 0),
    "admit_icans": ("behaviour.admit_icans_grade", 0),
    "icu_bp": ("behaviour.icu_bp_level", 0),
    "icu_oxygen": ("behaviour.icu_oxygen_level", 0),
    "icu_neuro": ("behaviour.icu_neuro_level", 0),
    "icu_out_h": ("behaviour.icu_out_h", 0),
    "discharge_clear_h": ("behaviour.discharge_clear_h", 0),
    "discharge_neuro": ("behaviour.discharge_neuro_level", 0),
    "min_stay_d": ("behaviour.min_stay_d", 0),
    "clinic_watch_d": ("behaviour.clinic_watch_d", 0),
    # death and seizures
    "hazard_background": ("death.background_per_d", 0),
    "hazard_crs": ("death.crs_per_d", 0),
    "hazard_icans": ("death.icans_per_d", 0),
    "hazard_no_icu": ("death.no_icu_factor", 0),
    "hazard_seizure": ("seizure.hazard_per_d", 0),
    "levetiracetam": ("seizure.levetiracetam_factor", 0),
    "seizure_level_n": ("seizure.from_neuro_level", 0),
    "seizure_reference_n": ("seizure.reference_neuro_level", 0),
    "seizure_grade": ("seizure.icans_grade", 0),
    "grid_h": ("numerics.grid_h", 0),
    # tocilizumab with saturable elimination (CLINICAL C1)
    "pk_step_h": ("numerics.pharmacokinetic_step_h", 0),
    "moes_clearance": ("pharmacokinetics.moes.clearance_l_per_d", 0),
    "moes_volume_l": ("pharmacokinetics.moes.volume_l", 0),
    "moes_vmax": ("pharmacokinetics.moes.vmax_mg_per_d", 0),
    "moes_km": ("pharmacokinetics.moes.km_mg_per_l", 0),
    "frey_clearance": ("pharmacokinetics.frey.clearance_l_per_d", 0),
    "frey_volume_l": ("pharmacokinetics.frey.volume_l", 0),
    "frey_exchange": ("pharmacokinetics.frey.exchange_l_per_d", 0),
    "frey_outer_l": ("pharmacokinetics.frey.outer_volume_l", 0),
    "frey_vmax": ("pharmacokinetics.frey.vmax_mg_per_d", 0),
    "frey_km": ("pharmacokinetics.frey.km_mg_per_l", 0),
    # biomarkers (MODEL 6)
    "il6_base": ("biomarkers.il6_base_pg_per_ml", 0),
    "il6_rise": ("biomarkers.il6_rise_pg_per_ml", 0),
    "il6_slope": ("biomarkers.il6_slope", 0),
    "il6_block": ("biomarkers.il6_rise_under_block", 0),
    "il6_cap": ("biomarkers.il6_cap_pg_per_ml", 0),
    "crp_turnover": ("biomarkers.crp_turnover_per_d", 0),
    "crp_rise": ("biomarkers.crp_rise_mg_per_l", 0),
    "crp_half": ("biomarkers.crp_half_intensity", 0),
    "crp_slope": ("biomarkers.crp_slope", 0),
    "crp_block": ("biomarkers.crp_share_blocked", 0),
    "ferritin_turnover": ("biomarkers.ferritin_turnover_per_d", 0),
    "ferritin_rise": ("biomarkers.ferritin_rise", 0),
    "ferritin_slope": ("biomarkers.ferritin_slope", 0),
    "temp_daily": ("biomarkers.temperature_daily_c", 0),
    "temp_daily_peak_h": ("biomarkers.temperature_daily_peak_h", 0),
    "marker_delay_h": ("biomarkers.assay_delay_h", 4),
}

#: Set by the scenario, not by the registry.
RUN_FIELDS: tuple[str, ...] = (
    "horizon_d",
    "ward_h",
    "icu_h",
    "clinic_h",
    "home_h",
    "outpatient",  # 1: starts at home with daily clinic
    "crs_scale",
    "policy_crs_scale",
    "levetiracetam_on",
    "skip",  # 1: assessments at which provably nothing can be seen are skipped
    "want_temperature",  # some rule reads the temperature
    "want_episodes",
    "want_doses",
    "want_changes",  # 2: intensive care ordered by a rule too, which no table needs
    "pk_model",  # terms.PkModel
    "marker_every_h",  # hours between samples of the biomarkers
    "want_samples",  # a table of biomarkers is written
    "want_markers",  # some rule looks at a sample
)

PARAMETERS = np.dtype(
    [(name, "f8", (size,)) if size else (name, "f8") for name, (_, size) in FIELDS.items()]
    + [(name, "f8") for name in RUN_FIELDS],
    align=True,
)


def registry_keys(product: str) -> dict[str, str]:
    """Field -> registry key for one product id."""
    return {name: key.format(product=product) for name, (key, _) in FIELDS.items()}


def fill_parameters(values: Mapping[str, Any], product: str, run: Mapping[str, float]) -> np.ndarray:
    """One `PARAMETERS` row.

    `values` maps registry key -> number or list; `run` gives every one of `RUN_FIELDS`.
    Raises `KeyError` where a key is missing and `ValueError` where a list has the wrong length.
    """
    par = np.zeros(1, PARAMETERS)
    for name, key in registry_keys(product).items():
        size = FIELDS[name][1]
        value = np.asarray(values[key], dtype="f8")
        if value.shape != ((size,) if size else ()):
            raise ValueError(f"{key}: {size or 1} number(s) expected, {value.size} given")
        par[name] = value
    for name in RUN_FIELDS:
        par[name] = run[name]
    return par
