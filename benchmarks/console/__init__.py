"""What the console shows: its samples, and its own pictures in the README."""
