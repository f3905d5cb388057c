"""What a runtime makes of a file: the constants it computes, and nodes that it reads otherwise."""
