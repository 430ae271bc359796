"""Speed, memory and scaling, measured against the same pathway in plain SimPy (`make bench`)."""
