"""The three claims, measured: symmetry by design against symmetry by augmentation.

Run ``python -m benchmarks.study`` (or ``make study``). Networks of equal size are trained on
rotated MNIST; what each costs and gives is written to docs/study/, a line a network, and drawn.
"""
