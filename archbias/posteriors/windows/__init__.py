"""The windowed-posterior engine behind every score machine.

    D(y)[p] = sum_{i, q in Q(p)} w_{i,q} phi_i[q],   w = softmax( -||y[O_p] - phi_i[O_q]||^2 / (2
    sigma^2) )

`geometry` says which pairs (p, q) a machine has and through which windows; `kernel`, `screen`,
`orbit` and `engine` compute them on the CPU; `portable` is the same in plain torch; `schedule` lets
the window change with the noise.
"""

from .engine import Beliefs, believe
from .geometry import KINDS, Geometry, check_window, geometry
from .portable import is_transformed, posterior_mean
from .schedule import SCHEDULES, WindowSchedule, published

__all__ = [
    "KINDS",
    "SCHEDULES",
    "Beliefs",
    "Geometry",
    "WindowSchedule",
    "believe",
    "check_window",
    "geometry",
    "is_transformed",
    "posterior_mean",
    "published",
]
