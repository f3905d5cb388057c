"""HTTP as this server speaks it: connections, what stands before every route, and the routes."""
