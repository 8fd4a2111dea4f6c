"""The kernels beside torch's own, on this machine: `python -m kernels.bench`."""
