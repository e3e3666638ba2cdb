"""The EdgeViT itself: variants as data, layers, the network, its description, complexity and random weights."""
