"""Lets torchvision be imported beside a build of torch for the CPU.

Its wheel's own operators are built for CUDA and do not load there; its transforms need none of
them, and what refers to their names at import only has to find the names.
"""

import torch

library = torch.library.Library("torchvision", "DEF")
for operator in ("nms", "qnms"):
    library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
