"""Groups, filters, layers, networks, data and training: everything that needs torch but export."""
