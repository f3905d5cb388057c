"""The model repository: versions found, tried, verified, loaded and served."""
