"""Why: a paired difference is worth something only while the two arms share every draw until a policy does something.
This room finds the first event at which the arms of each subject part, and names the rule that parted them."""

from cartsim.pairing.check import check_pairing
from cartsim.pairing.report import ArmPairing, Leak, PairingReport, RuleCount

__all__ = ["ArmPairing", "Leak", "PairingReport", "RuleCount", "check_pairing"]
