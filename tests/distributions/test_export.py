"""Laws under the interface of torch.distributions, against torch's own Gaussian and against the
empirical law's points.
"""

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from archbias import noise
from archbias.data import ImageSet
from archbias.distributions import as_torch, generated_by
from archbias.posteriors.ideal import Ideal
from archbias.regressions.linear import Linear


def images(n=40, shape=(2, 2, 3)) -> ImageSet:
    x = np.random.default_rng(0).normal(size=(n, *shape)).cumsum(2)
    return ImageSet.from_array(np.tanh(x / 2))


def test_the_gaussian_law_is_torchs_multivariate_normal():
    law = generated_by(Linear().fit(images()), noise.cosine(10))
    ours = as_torch(law)
    theirs = MultivariateNormal(law.mean.flatten(), law.covariance.dense())
    assert ours.event_shape == (2, 2, 3)
    assert ours.batch_shape == ()
    torch.testing.assert_close(ours.variance.flatten(), theirs.variance)
    torch.manual_seed(0)
    x = ours.sample((5, 3))
    assert x.shape == (5, 3, 2, 2, 3)
    torch.testing.assert_close(
        ours.log_prob(x), theirs.log_prob(x.flatten(2)), rtol=1e-8, atol=1e-8
    )
    assert ours.log_prob(ours.sample()).shape == ()
    with pytest.raises(NotImplementedError):
        ours.rsample()
    # each mean within 5 standard errors: error rate below 1e-5
    many = ours.sample((20_000,)).flatten(1)
    assert ((many.mean(0) - theirs.mean).abs() <= 5 * (theirs.variance / 20_000).sqrt()).all()


def test_draws_follow_torchs_random_state():
    law = as_torch(generated_by(Linear(rank=2).fit(images()), noise.cosine(5)))
    torch.manual_seed(3)
    first = law.sample((2,))
    torch.manual_seed(3)
    assert torch.equal(law.sample((2,)), first)
    assert not torch.equal(law.sample((2,)), first)


def test_laws_of_points_are_sampled_too():
    data = images(6)
    law = as_torch(generated_by(Ideal().fit(data), noise.cosine(20)))
    x = law.sample((4,)).float()
    assert torch.cdist(x.flatten(1), data.images.flatten(1)).min(1).values.max() < 1e-3
