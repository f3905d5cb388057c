"""Several processes that serve one port: what starts them again, and how they speak."""
