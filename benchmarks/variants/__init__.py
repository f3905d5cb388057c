"""Several networks and recipes for rotated MNIST, trained side by side on one GPU in a given time.

    python -m benchmarks.variants --seconds 300

Each is a run of its own, judged on the validation digits, which are neither trained on nor tested
on. A first round compares recipes on one layout and layouts with one recipe; a second one trains
the best of both at full width, alone and taught by the best three, and small networks taught by
them. What is chosen goes into `models/presets.py`, and `orbitserve train NAME --resume` tests it.
"""
