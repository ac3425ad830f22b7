"""Classifier two-sample test: can a classifier tell the samples from the data? Set-level.

Half of both sets trains a classifier, the other half is told apart by it. If both are one
distribution, each held-out row is guessed right with probability 1/2, so the number right is
binomial and p is exact (Lopez-Paz & Oquab 2017, *Revisiting classifier two-sample tests*, section
3). The accuracy is also a distance: (2 accuracy - 1) bounds the total variation below.

The default is a Gaussian-kernel support vector machine on 20 whitened principal coordinates: it
sees differences in any moment of those. Any scikit-learn classifier can take its place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest
from sklearn.base import ClassifierMixin, clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from torch import Tensor

from .intervals import Interval, binomial
from .two_sample import pool


@dataclass(frozen=True)
class ClassifierTest:
    """accuracy: share of held-out rows told apart, with Wilson's interval; 0.5 is chance. p: exact
    binomial, one-sided.
    """

    accuracy: Interval
    p: float


def classifier_test(
    samples: Tensor,
    images: Tensor,
    *,
    classifier: ClassifierMixin | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> ClassifierTest:
    """Train on half of both sets, test on the other half.

    Args:
        samples, images: (n, ...) and (m, ...), at least 4 rows each; the larger is cut to the size
            of the smaller, at random, since chance is 1/2 only for sets of equal size.
        classifier: any scikit-learn classifier; it is cloned.
    """
    both = pool(samples, images, 4).cpu().numpy()
    n, m = len(samples), len(images)
    size = min(n, m)
    rng = np.random.default_rng(seed)
    first, second = rng.permutation(n)[:size], n + rng.permutation(m)[:size]
    half = size // 2
    train, test = (
        np.concatenate([first[part], second[part]])
        for part in (slice(None, half), slice(half, None))
    )
    label = np.arange(len(both)) >= n
    if classifier is None:
        rank = min(20, 2 * half - 1, both.shape[1])
        classifier = make_pipeline(PCA(rank, whiten=True, random_state=seed), SVC())
    fitted = clone(classifier).fit(both[train], label[train])
    right = int((fitted.predict(both[test]) == label[test]).sum())
    p = binomtest(right, len(test), 0.5, alternative="greater").pvalue
    return ClassifierTest(binomial(right, len(test), level=level), float(p))
