"""Models from elsewhere: a file of another exporter becomes a version of a model repository."""
