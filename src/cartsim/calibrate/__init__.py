"""Why: the model's numbers have to earn their place. Here published cohorts are simulated with their own policies and
definitions, compared with what was seen, and used to make the numbers and their uncertainty.
"""
