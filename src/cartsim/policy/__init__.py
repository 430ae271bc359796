"""Management policies as data: rules in YAML, checked, shown as a table, compiled to arrays."""
