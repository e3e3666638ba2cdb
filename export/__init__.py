"""From a model and its ``ModelSpec`` to artifact files and manifests. Knows neither EdgeViT nor how a file is run."""
