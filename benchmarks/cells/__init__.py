"""Solar cells: does symmetry by design pay on photographs, and what does a random split hide?"""
