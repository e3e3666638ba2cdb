"""The network: specification, variants, layers and checkpoint loading. Knows no artifact format and no runtime."""
