"""CUDA kernels: ``.cu`` sources, and the Python that launches them through CuPy.

Each Python file holds one operation; its checks are made by its public face in ``vidprep.kernels``.
"""
