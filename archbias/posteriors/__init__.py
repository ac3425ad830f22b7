"""Theories that are posterior means which forget something.

    ideal            forgets nothing: the optimal denoiser of a finite set
    score_machines   forget what lies outside a window, or where they are, or both (ES, LS, ELS,
                     bbELS)
    calibrate        chooses the free settings of any of them
    windows/         the engine behind windowed beliefs

For a new theory of this kind copy `ideal.py`. The best function of a restricted class (linear,
polynomial) belongs in `regressions`; whatever is fitted by gradient descent in `nets`.
"""
