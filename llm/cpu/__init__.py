"""The CPU engine: a compiled kernel, or ONNX Runtime."""
