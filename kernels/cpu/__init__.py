"""Numba kernels. Each file holds one operation; the checks are made by its public face in ``vidprep.kernels``."""
