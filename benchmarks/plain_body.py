"""The disease of one subject and what drugs do to it, for the plain SimPy reference (MODEL 1, 2 and the grid of 4)."""

from dataclasses import dataclass
from math import exp, expm1, inf, log
from types import SimpleNamespace

LN2 = log(2.0)
#: Times in days carry rounding; a second is far above it and far below an assessment interval.
SLACK = 1e-9
HOME, WARD, ICU = 0, 2, 3


def window(peak: float, at: float, rise: float, fall: float, threshold: float) -> tuple[float, float]:
    """Between these times a curve of this peak may exceed the threshold: its two asymptotes bound it from above."""
    if peak <= threshold:
        return inf, -inf
    w = fall / (rise + fall)
    return at + (threshold - peak + log(w)) / rise, at + (peak - threshold - log(1.0 - w)) / fall


@dataclass(slots=True, eq=False)
class Body:
    """Constants of one subject, drawn beforehand, and the drugs in it. Times are days since infusion."""

    numbers: SimpleNamespace  # the registry's, by field name
    number: int
    # CRS and ICANS: untreated peak, its time, slopes
    a: float
    peak_at: float
    rise: float
    fall: float
    b: float
    peak_at_n: float
    rise_n: float
    fall_n: float
    eps: tuple[float, float, float, float]  # blood pressure, oxygen, liver, kidney
    resp: float
    size_toci: float
    size_steroid: float
    steroid_scale: float
    weight: float
    death_threshold: float
    seizure_threshold: float
    # drugs in the body, as they were at their last change
    drugged: bool = False
    conc: float = 0.0
    conc_from: float = inf
    toci_first_end: float = inf
    steroid_slow: float = 0.0
    steroid_fast: float = 0.0
    steroid_from: float = inf
    anakinra_slow: float = 0.0
    anakinra_fast: float = 0.0
    anakinra_from: float = inf
    # the 4 h grid: hazards and latent peaks
    setting: int = WARD
    grid: int = 0
    hazard_crs: float = 0.0
    hazard_icans: float = 0.0
    hazard_seizure: float = 0.0
    death: float = inf
    seizure: float = inf
    peak_grid: int = 0
    max_support: float = -inf
    max_fever: float = -inf
    max_neuro: float = -inf
    max_wide: float = -inf
    # when anything could show, kill, or bring on a seizure
    w: float = 0.0
    w_n: float = 0.0
    w_wide: float = 0.0
    crs_from: float = inf
    crs_to: float = -inf
    neuro_from: float = inf
    neuro_to: float = -inf
    harm_from: float = inf
    harm_to: float = -inf
    fit_from: float = inf
    fit_to: float = -inf

    def __post_init__(self) -> None:
        """Settle what follows from the constants."""
        n = self.numbers
        self.w = self.fall / (self.rise + self.fall)
        self.w_n = self.fall_n / (self.rise_n + self.fall_n)
        crs = self.a, self.peak_at, self.rise, self.fall
        neuro = self.b, self.peak_at_n, self.rise_n, self.fall_n
        lowest = zip((n.h[0], n.o[0], n.liver[0], n.kidney[0]), self.eps, strict=True)
        self.crs_from, self.crs_to = window(*crs, min(0.0, *(h - eps for h, eps in lowest)) - SLACK)
        self.neuro_from, self.neuro_to = window(*neuro, min(n.n[0], n.n_wide) - SLACK)
        self.harm_from, self.harm_to = window(*crs, min(n.h[4] - self.eps[0], n.o[3] - self.eps[1]) - SLACK)
        self.fit_from, self.fit_to = window(*neuro, n.n[1] - SLACK)
        self.death = self.death_threshold / n.hazard_background
        # support comes some time after fever; wide events may last longer than ICANS
        self.crs_to += n.support_lag_d
        self.harm_from += n.support_lag_d
        self.harm_to += n.support_lag_d
        fall_wide = n.wide_decline_ratio * self.fall_n
        self.w_wide = fall_wide / (self.rise_n + fall_wide)
        slow = window(self.b, self.peak_at_n, self.rise_n, fall_wide, n.n_wide - SLACK)
        self.neuro_to = max(self.neuro_to, slow[1])

    def untreated_crs(self, t: float) -> float:
        """CRS drive at `t` had no drug been given."""
        if t <= 0.0:
            return -inf
        since = t - self.peak_at
        x = self.a - log(self.w * exp(-self.rise * since) + (1.0 - self.w) * exp(self.fall * since))
        r = t / self.numbers.ramp_d
        return x + log(-expm1(-r * r)) if r < 6.0 else x

    def untreated_support(self, t: float) -> float:
        """Drive behind the signs of support at `t`: what fever followed some time ago."""
        return self.untreated_crs(t - self.numbers.support_lag_d)

    def wide_lead(self, t: float) -> float:
        """The wide neurologic drive over that of ICANS: past the common peak it falls at a rate of its own."""
        since = t - self.peak_at_n
        if since <= 0.0:
            return 0.0
        rising, falling = exp(-self.rise_n * since), self.fall_n * since
        narrow = self.w_n * rising + (1.0 - self.w_n) * exp(falling)
        slow = exp(self.numbers.wide_decline_ratio * falling)
        return log(narrow / (self.w_wide * rising + (1.0 - self.w_wide) * slow))

    def untreated_icans(self, t: float) -> float:
        """ICANS drive at `t` had no drug been given."""
        if t <= 0.0:
            return -inf
        since = t - self.peak_at_n
        y = self.b - log(self.w_n * exp(-self.rise_n * since) + (1.0 - self.w_n) * exp(self.fall_n * since))
        r = t / self.numbers.ramp_d
        return y + log(-expm1(-r * r)) if r < 6.0 else y

    def treated(self, t: float, late: float, x: float, y: float) -> tuple[float, float, float]:
        """(support, fever, neurological) drive under the drugs given so far, from the untreated three."""
        n = self.numbers
        if self.steroid_slow:
            since = t - self.steroid_from
            amount = self.steroid_slow * exp(-LN2 / n.steroid_slow_d * since)
            amount -= self.steroid_fast * exp(-since / n.steroid_fast_d)
            effect = amount / (amount + n.steroid_a50_mg) * self.size_steroid
            x -= n.steroid_emax * effect
            late -= n.steroid_emax * effect
            y -= n.steroid_emax_n * effect
        if self.anakinra_slow:
            since = t - self.anakinra_from
            amount = self.anakinra_slow * exp(-LN2 / n.anakinra_slow_d * since)
            amount -= self.anakinra_fast * exp(-since / n.anakinra_fast_d)
            effect = amount / (amount + n.anakinra_b50_mg)
            x -= n.anakinra_crs * effect
            late -= n.anakinra_crs * effect
            y -= n.anakinra_icans * effect
        if not self.conc:
            return late, x, y
        conc = self.conc * exp(-n.toci_elimination * (t - self.conc_from))
        since = t - self.toci_first_end
        bound = self.resp * conc / (conc + n.toci_kd)
        fever_shift = n.toci_fever_ratio * self.size_toci
        if x > n.toci_fever_from:
            fever_shift += n.toci_fever_compress * (x - n.toci_fever_from)
        return (
            late + self.size_toci * bound * expm1(-since / n.toci_on_support_d),
            x + fever_shift * bound * expm1(-since / n.toci_on_fever_d),
            y,
        )

    def take_steroid(self, mg: float, t: float) -> None:
        """`mg` dexamethasone equivalents enter the body."""
        n = self.numbers
        self.follow_peaks(t)
        if self.steroid_slow:
            since = t - self.steroid_from
            self.steroid_slow *= exp(-LN2 / n.steroid_slow_d * since)
            self.steroid_fast *= exp(-since / n.steroid_fast_d)
        self.steroid_slow += mg * self.steroid_scale
        self.steroid_fast += mg * self.steroid_scale
        self.steroid_from = t
        self.drugged = True

    def take_anakinra(self, mg: float, t: float) -> None:
        """`mg` anakinra enter the body."""
        n = self.numbers
        self.follow_peaks(t)
        if self.anakinra_slow:
            since = t - self.anakinra_from
            self.anakinra_slow *= exp(-LN2 / n.anakinra_slow_d * since)
            self.anakinra_fast *= exp(-since / n.anakinra_fast_d)
        self.anakinra_slow += mg
        self.anakinra_fast += mg
        self.anakinra_from = t
        self.drugged = True

    def labelled_dose(self) -> float:
        """Milligrams of one dose of tocilizumab: by weight, capped."""
        n = self.numbers
        per_kg = n.toci_mg_per_kg_light if self.weight < n.toci_light_kg else n.toci_mg_per_kg
        return min(per_kg * self.weight, n.toci_cap_mg)

    def take_tocilizumab(self, mg: float, t: float) -> None:
        """An infusion has ended."""
        n = self.numbers
        self.follow_peaks(t)
        if self.conc:
            self.conc *= exp(-n.toci_elimination * (t - self.conc_from))
        else:
            self.toci_first_end = t
        self.conc += mg / n.toci_volume_l
        self.conc_from = t
        self.drugged = True

    def follow_hazards(self, t: float) -> None:
        """Book the hazards of death and seizure on the 4 h grid up to `t`; sets `death` and `seizure`."""
        first = min(self.harm_from, self.fit_from)
        if t < first:
            return
        n = self.numbers
        step = n.grid_h / 24.0
        k = max(self.grid + 1, int(first / step))
        final = min(t, max(self.harm_to, self.fit_to))
        while (at := k * step) <= final and self.death > at:
            self.grid = k
            k += 1
            x = self.untreated_support(at) if self.harm_from <= at <= self.harm_to else -inf
            y = self.untreated_icans(at) if self.fit_from <= at <= self.fit_to else -inf
            if self.drugged:
                x, _, y = self.treated(at, x, x, y)
            crs = icans = 0.0
            if x + self.eps[0] > n.h[4] or x + self.eps[1] > n.o[3]:
                crs = n.hazard_crs if self.setting == ICU else n.hazard_crs * n.hazard_no_icu
            if y > n.n[3]:
                icans = n.hazard_icans
            if crs or icans:
                rate = n.hazard_background + crs + icans
                booked = n.hazard_background * at + self.hazard_crs + self.hazard_icans
                lasting = min(step, max(0.0, self.death_threshold - booked) / rate)
                self.hazard_crs += crs * lasting
                self.hazard_icans += icans * lasting
                if lasting < step:
                    self.death = at + lasting
                    return
                self.death = (
                    self.death_threshold - self.hazard_crs - self.hazard_icans
                ) / n.hazard_background
            if y > n.n[1] and self.seizure == inf:
                rate = n.hazard_seizure * exp(y - n.n[2])
                if self.hazard_seizure + rate * step > self.seizure_threshold:
                    self.seizure = at + (self.seizure_threshold - self.hazard_seizure) / rate
                self.hazard_seizure += rate * step

    def follow_peaks(self, t: float) -> None:
        """Take the latent course on the 4 h grid up to `t` into its peaks, with the drugs given so far."""
        step = self.numbers.grid_h / 24.0
        lag = self.numbers.support_lag_d
        apart = self.numbers.wide_decline_ratio != 1.0
        k = max(self.peak_grid, int(min(self.crs_from, self.neuro_from, t) / step) - 1)
        while (at := (k + 1) * step) <= t:
            k += 1
            x = late = y = -inf
            if self.crs_from <= at <= self.crs_to:
                x = late = self.untreated_crs(at)
                if lag:
                    late = self.untreated_support(at)
            if self.neuro_from <= at <= self.neuro_to:
                y = self.untreated_icans(at)
            lead = self.wide_lead(at) if apart else 0.0
            # drugs only lower a drive: what cannot raise a peak untreated needs no look at the drugs
            if (
                late > self.max_support
                or y > self.max_neuro
                or y + lead > self.max_wide
                or self.max_fever <= 0.0 < x
            ):
                heat = x
                if self.drugged:
                    late, heat, y = self.treated(at, late, x, y)
                self.max_support = max(self.max_support, late)
                self.max_fever = max(self.max_fever, heat)
                self.max_neuro = max(self.max_neuro, y)
                self.max_wide = max(self.max_wide, y + lead)
            elif at > self.peak_at + lag + 1.0 and at > self.peak_at_n + 1.0:
                # past all peaks the untreated curves only fall
                k = int(t / step)
                break
        self.peak_grid = k
