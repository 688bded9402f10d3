"""A compact network delivered without our code: its graph as JSON, its tensors as safetensors, and made of these .pt2
and ONNX, each checked where sparsweep cannot be imported."""
