"""Rules that bring ONNX Runtime's own operators to those of ONNX."""
