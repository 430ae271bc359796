"""What the commands print; `cli.py` only names them."""
