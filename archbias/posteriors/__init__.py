"""Theories that are posterior means which forget something.

    ideal            forgets nothing: the optimal denoiser of a finite set
    score_machines   forget what lies outside a window, or where they are, or both (ES, LS, ELS,
                     bbELS)
    graded           know their place by degrees: from LS to ELS and bbELS by one number
    masked           see whole images through a mask for each pixel: window, Wiener, measured
    smoothed         average their score over a neighbourhood
    patch_composite  believe patch by patch, and average overlaps
    golden           look at a subset of near images
    sighted          ours: masks that are the network's own Jacobian, with moved sources

    masks moves gaps levels   what they share: masks, moved sources, distances, settings by level
    measured         masks of a network
    told             how much of a network each theory is told
    calibrate        chooses a free setting of any of them; coordinates: several in turn
    windows/         the engine behind windowed beliefs

For a new theory of this kind copy `ideal.py`. The best function of a restricted class (linear,
polynomial) belongs in `regressions`; whatever is fitted by gradient descent in `nets`.
"""
