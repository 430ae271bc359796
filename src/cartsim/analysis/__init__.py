"""What the stored tables say: endpoints, intervals, cumulative incidence, paired contrasts.

Nothing here knows the clinic. Everything can be recomputed from the stored tables alone, so that a reader who
doubts a number can check it without the simulator.
"""
