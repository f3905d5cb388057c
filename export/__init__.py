"""From a trained network to a version of a model repository."""
