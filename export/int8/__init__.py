"""What programs and manifests hold of int8: what becomes of each layer. How it is found is export.quantization."""
