"""Why: readers come with claims from the literature and with an eye for what a course looks like. What emerges from the
model stands here beside both: effect claims with their evidence, and named checks of face validity.
"""
