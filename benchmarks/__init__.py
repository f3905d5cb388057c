"""Side-by-side measurements; each prints the table that stands in docs/."""
