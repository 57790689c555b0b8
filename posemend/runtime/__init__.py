"""Using models: ONNX Runtime and NumPy, no torch."""
