"""Why: a policy that gives more of a drug must also show what the drug does to people. Reactions and infections are
worked out after a course, from what was given and when; the course itself does not know of them.
"""

from cartsim.harms.follow import Harms, find_harms
from cartsim.harms.numbers import HarmNumbers, read_numbers

__all__ = ["HarmNumbers", "Harms", "find_harms", "read_numbers"]
