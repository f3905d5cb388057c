"""One module a format, which reads a file by its own header and refuses what it would misread."""
