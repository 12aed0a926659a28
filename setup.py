"""Lists the packages: the repository root is ``vidprep``, these folders are its sub-packages, the rest stays out."""

from setuptools import find_namespace_packages, setup

SUBPACKAGES = ("cli", "kernels", "models", "pipeline")

found = find_namespace_packages(
    include=[pattern for name in SUBPACKAGES for pattern in (name, f"{name}.*")], exclude=["*__pycache__*"]
)
setup(
    script_name="setup.py",  # setuptools keeps the file of this name out of the package that it lies in
    packages=["vidprep", *(f"vidprep.{name}" for name in found)],
)
