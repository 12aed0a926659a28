"""What ``kernels.py`` measures: a module for each family of kernels, with its inputs and its peers."""
