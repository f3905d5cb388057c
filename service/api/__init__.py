"""The routes: thin faces over the data plane, one file a resource."""
