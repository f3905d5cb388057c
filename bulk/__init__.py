"""Images in bulk: files and tables wherever they lie, in pieces, on workers of many machines."""
