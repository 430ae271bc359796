"""Why: a model that was fitted to figures must also predict some. Published figures are held against what the model
predicts at the published number of patients, beside a forecast that knows no model.
"""
