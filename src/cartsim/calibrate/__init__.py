"""Why: the model's numbers have to earn their place. Here published cohorts are simulated with their own policies and
definitions, and used to make the numbers and their uncertainty; `validate` and `claims` are the judges.
"""
