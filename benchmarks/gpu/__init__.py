"""What a GPU does with the shipped models: whose bits it keeps, and how many images a second.

`deploy/gpu/check.sh` runs every part under a time limit of its own. Each prints Markdown as it goes
along, so that what was measured before a limit is kept, and each runs on a CPU as well.
"""
