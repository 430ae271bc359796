"""Figures and text for readers of a run."""
