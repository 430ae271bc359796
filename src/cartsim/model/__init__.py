"""The clinic: compiled text of disease, drugs, signs, grading, rules and course."""
