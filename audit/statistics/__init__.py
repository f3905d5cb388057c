"""What images can and cannot show. The image is the sampling unit, whatever is done to it."""

from audit.statistics.binomial import clopper_pearson, trials_to_settle, trials_to_show
from audit.statistics.clusters import cluster_interval
from audit.statistics.curves import agreement_band, mean_band
from audit.statistics.deviations import DeviationBin, DeviationDistribution, deviations
from audit.statistics.discordance import (
    Discordance,
    difference_interval,
    discordance,
    mcnemar,
    not_worse,
    worse,
)
from audit.statistics.labels import Cell, chance_agreement, class_cells, holm, label_entropy
from audit.statistics.paired import ranks, shuffle_test, sign_test
from audit.statistics.paired_means import larger, mean_interval
from audit.statistics.sequence import ConfidenceSequence

__all__ = [
    "Cell",
    "ConfidenceSequence",
    "DeviationBin",
    "DeviationDistribution",
    "Discordance",
    "agreement_band",
    "chance_agreement",
    "class_cells",
    "clopper_pearson",
    "cluster_interval",
    "deviations",
    "difference_interval",
    "discordance",
    "holm",
    "label_entropy",
    "larger",
    "mcnemar",
    "mean_band",
    "mean_interval",
    "not_worse",
    "ranks",
    "shuffle_test",
    "sign_test",
    "trials_to_settle",
    "trials_to_show",
    "worse",
]
