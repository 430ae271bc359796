"""Sweeps: design points, blocks of work, and who does them."""
