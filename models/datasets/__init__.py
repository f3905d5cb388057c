"""The data sets that networks are trained on, each a module that returns a `DataSet`."""
