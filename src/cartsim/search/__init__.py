"""Search among policy settings: which is best, with what certainty, and which trade-offs are open."""
