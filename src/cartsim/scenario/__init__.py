"""The scenario file: strict YAML, typed models, resolution and hash."""
