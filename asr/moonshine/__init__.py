"""Moonshine: its shape, its weights, readable torch modules, and ONNX graphs that run on a CPU."""
