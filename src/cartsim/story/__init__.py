"""Why: whoever doubts a number wants to see one subject behind it. This room simulates one again with every log on,
checks that it is the stored one, and tells its course as a physician would: what was seen, what was done and why.
"""

from cartsim.story.reason import Reason, explain
from cartsim.story.retold import Story, replay

__all__ = ["Reason", "Story", "explain", "replay"]
