"""The evidence registry: every clinical number, with its unit, status and source."""
