"""Where the microseconds of one small request go, layer by layer."""
