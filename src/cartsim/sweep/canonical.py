"""Why: whoever works on design points compares settings by their canonical text, which scenarios need too."""

from cartsim.scenario.canonical import plain_text, settings_id

__all__ = ["plain_text", "settings_id"]
