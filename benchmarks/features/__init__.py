"""The third claim, measured: are the features that augmentation teaches redundant?

Run ``python -m benchmarks.features``. It trains some of the study's networks again, since their
weights were not kept, reads their feature maps on digits that are neither trained nor tested on,
and writes figures, tables and a picture to docs/study/features/.
"""
