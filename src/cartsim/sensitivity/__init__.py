"""Which assumption matters, and which one flips the answer: worked out from the stored results of a sweep.

Nothing here simulates. The mathematics takes plain arrays of values, `values[replicate, point]`; what a run's folder
holds is read in `stored`.
"""
