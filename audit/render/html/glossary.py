"""What words of a report mean, for readers who have not met them."""

from typing import Final

GLOSSARY: Final = (
    (
        "label, class",
        "The model sorts images into classes; the class that it gives an image is its label.",
    ),
    (
        "logit, margin",
        "A model gives each class a number, its logit, and the largest one wins. The margin is how "
        "far the winner is ahead; a negative one says that another class has won.",
    ),
    (
        "r90, m, C4, D4",
        "r90 is a quarter turn counterclockwise, m swaps left and right. C4 is the group of the "
        "four quarter turns, D4 that of these and of their mirror images.",
    ),
    (
        "noise floor",
        "How much answers differ when nothing was rotated: computers round, and the order of sums "
        "can vary. What is smaller than that cannot be told from nothing.",
    ),
    (
        "interval, confidence",
        "A sample shows the part of all images only roughly. Of intervals that are computed in "
        "this way at 95% confidence, at least 95 in 100 hold the true part.",
    ),
    (
        "adjusted p",
        "How likely so few kept labels, or fewer, would be in a class that meets what is asked; "
        "adjusted (by Holm) since many classes are looked at.",
    ),
    (
        "rotated and rotated back",
        "The control at angles: an upright image that has suffered interpolation twice. What it "
        "loses is not the model's fault.",
    ),
    (
        "sha256",
        "A fingerprint of a file: whoever has the file can compute it, and another file has "
        "another one.",
    ),
)
