"""What composed sampler steps make of Gaussian noise in a few coordinates: images, Jacobians,
densities.

A DDIM step s -> s' of a polynomial denoiser P in coordinates v is itself a polynomial map,

    v' = rho v + (1 - rho) P_s(v),   J = rho I + (1 - rho) P_s'(v),   rho = s' / s
    v_0 = s_0 z - m,  z ~ N(0, I);   T = the composition;   density(x) = sum over T(z) = x of phi(z)
    / |det dT/dz|

Such a map may fold, so a point can have several preimages, and it may throw points to infinity.
`Line` finds every preimage in one dimension, `Sheet` in two; `Space` follows one branch in more. A
trajectory has **escaped** when any coordinate leaves ESCAPE standard deviations of data plus noise
at any step; densities count the trajectories that stay, so they integrate to 1 - escape.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..compiled import njit
from ..noise import ratios
from ..regressions.hermite import values
from ..regressions.polynomial import PolynomialDenoiser

ESCAPE = 20.0
REFINE = 1e-3
LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Step:
    """One step in one coordinate: t = v / scale, P(v) = sum_k c_k h_k(t)."""

    scale: float
    c: Tensor
    ratio: float


class Line:
    """The map of one coordinate, its every preimage, its moments and its escape by quadrature.

    start, offset: v_0 = start z - offset.
    width: standard deviation of the data, for the last state.
    """

    def __init__(
        self,
        steps: list[Step],
        start: float,
        offset: float,
        width: float,
        *,
        reach: float = 8.0,
        nodes: int = 16001,
    ):
        self.steps, self.start, self.offset, self.width = steps, start, offset, width
        self.z = torch.linspace(-reach, reach, nodes, dtype=torch.float64)
        self.x, self.slope, out = self.push(self.z)
        self.stays = ~out
        weight = torch.exp(-(self.z**2) / 2) * (self.z[1] - self.z[0]) / math.sqrt(2 * math.pi)
        self.escape = float(weight[out].sum())
        self.weight = torch.where(self.stays, weight, 0.0) / weight[self.stays].sum()

    def push(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """T(z), dT/dz and whether the trajectory escaped, each of z's shape (n,)."""
        v, slope = self.start * z - self.offset, torch.full_like(z, self.start)
        out = torch.zeros_like(z, dtype=torch.bool)
        for step in self.steps:
            t = v / step.scale
            out |= ~(t.abs() <= ESCAPE)
            h = values(t, len(step.c) - 1)
            k = torch.arange(1, len(step.c), dtype=torch.float64)
            derivative = h[:, :-1] @ (k.sqrt() * step.c[1:]) / step.scale
            v = step.ratio * v + (1 - step.ratio) * (h @ step.c)
            slope = slope * (step.ratio + (1 - step.ratio) * derivative)
        out |= ~(
            v.abs()
            <= ESCAPE * math.hypot(self.width, self.start * math.prod(s.ratio for s in self.steps))
        )
        return v, slope, out

    def moment(self, power: int, about: float = 0.0) -> float:
        """E[(x - about)^power] over the trajectories that stay."""
        x = torch.where(self.stays, self.x - about, 0.0)
        return float((self.weight * x**power).sum())

    def log_density(self, x: Tensor) -> Tensor:
        """(n,) -> (n,): log of the sum over every preimage."""
        left, right = self._brackets(x)
        which, node = left
        z = self._root(x[which], node, right)
        term = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) / self.push(z)[1].abs()
        return torch.zeros_like(x).index_add(0, which, term).log()

    def _root(self, x: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """T(z) = x between two nodes: Newton kept inside the bracket, bisection where it stalls."""
        a, b = self.z[left].clone(), self.z[right].clone()
        low, high = self.x[left], self.x[right]
        rising = high > low
        z = a + (b - a) * ((x - low) / (high - low)).clamp(0, 1)
        active = torch.arange(len(z))
        for count in range(60):
            value, slope, _ = self.push(z[active])
            miss = value - x[active]
            below = (miss < 0) == rising[active]
            a[active], b[active] = (
                torch.where(below, z[active], a[active]),
                torch.where(below, b[active], z[active]),
            )
            new = z[active] - miss / slope
            inside = (new > a[active]) & (new < b[active]) & (count < 8)
            new = torch.where(inside, new, (a[active] + b[active]) / 2)
            done = (miss.abs() <= 1e-14 * (1 + x[active].abs())) | (
                (new - z[active]).abs() <= 1e-15 * (1 + new.abs())
            )
            z[active[~done]] = new[~done]
            active = active[~done]
            if not len(active):
                break
        return z

    def _brackets(self, x: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Which query lies between which neighbouring nodes: ((query, left node), right node)."""
        low = torch.minimum(self.x[:-1], self.x[1:])
        high = torch.maximum(self.x[:-1], self.x[1:])
        both = self.stays[:-1] & self.stays[1:]
        order = x.argsort()
        ordered = x[order].contiguous()
        first = torch.searchsorted(ordered, low.nan_to_num().contiguous(), right=False)
        last = torch.searchsorted(ordered, high.nan_to_num().contiguous(), right=False)
        count = torch.where(both, last - first, 0)
        node = torch.repeat_interleave(torch.arange(len(low)), count)
        within = torch.arange(len(node)) - torch.repeat_interleave(count.cumsum(0) - count, count)
        return (order[first[node] + within], node), node + 1


class Space:
    """The map of r coordinates together.

    offset: (r,), v_0 = sigmas[0] z - offset.
    """

    def __init__(self, denoiser: PolynomialDenoiser, sigmas: Tensor, offset: Tensor):
        self.denoiser, self.offset, self.r = denoiser, offset, denoiser.r
        self.start, self.end = float(sigmas[0]), float(sigmas[-1])
        self.steps = ratios(sigmas)
        self.variances = denoiser.variances[: self.r].double()

    def push(self, z: Tensor, *, chunk: int = 8192) -> Tensor:
        """T(z) (n, r), NaN where the trajectory escaped."""
        return torch.cat([self._push(part) for part in z.split(chunk)])

    def _push(self, z: Tensor) -> Tensor:
        v, out = self.start * z - self.offset, torch.zeros(len(z), dtype=torch.bool)
        for s, ratio in self.steps:
            out |= ~(v.abs() <= ESCAPE * (self.variances + s**2).sqrt()).all(1)
            # an escaped trajectory is followed no further
            v = self._step(torch.where(out[:, None], 0.0, v), s, ratio)
        out |= ~(v.abs() <= ESCAPE * (self.variances + self.end**2).sqrt()).all(1)
        return torch.where(out[:, None], torch.nan, v)

    def _step(self, v: Tensor, s: float, ratio: float) -> Tensor:
        return ratio * v + (1 - ratio) * self.denoiser.block(
            v, torch.tensor([s], dtype=torch.float64).expand(len(v))
        )

    def _both(self, v: Tensor, s: float, ratio: float) -> tuple[Tensor, Tensor]:
        value, slopes = self.denoiser.differential(v, s)
        return ratio * v + (1 - ratio) * value, ratio * torch.eye(self.r, dtype=torch.float64) + (
            1 - ratio
        ) * slopes

    def total_jacobian(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """T(z) (n, r) and dT/dz (n, r, r)."""
        v, total = (
            self.start * z - self.offset,
            self.start * torch.eye(self.r, dtype=torch.float64).expand(len(z), -1, -1),
        )
        for s, ratio in self.steps:
            v, jacobian = self._both(v, s, ratio)
            total = jacobian @ total
        return v, total

    def log_density(self, x: Tensor) -> Tensor:
        """(n, r) -> (n,): the branch reached by undoing one step after the other (Newton); NaN
        where none was found.

        Exact where the map does not fold over x; otherwise a lower bound.
        """
        v, log_det = x, torch.full((len(x),), self.r * math.log(self.start), dtype=torch.float64)
        found = torch.ones(len(x), dtype=torch.bool)
        for s, ratio in reversed(self.steps):
            gain = ratio + (1 - ratio) * self.variances / (self.variances + s**2)
            y, size = v / gain, None
            for _ in range(60):
                value, slopes = self._both(y, s, ratio)
                miss = value - v
                size = miss.norm(dim=1)
                if float(size.nan_to_num().max()) < 1e-13:
                    break
                move = torch.linalg.lstsq(slopes, miss[:, :, None]).solution[:, :, 0]
                scale = torch.ones(len(y), 1, dtype=torch.float64)
                for _ in range(12):
                    worse = (self._step(y - scale * move, s, ratio) - v).norm(dim=1) > size
                    scale = torch.where(worse[:, None], scale / 2, scale)
                y = y - scale * move
            found &= size <= 1e-9 * (1 + v.norm(dim=1))
            log_det = log_det + self._both(y, s, ratio)[1].det().abs().log()
            v = y
        z = (v + self.offset) / self.start
        return torch.where(found, -(z**2).sum(1) / 2 - self.r / 2 * LOG_2PI - log_det, torch.nan)


class Sheet:
    """The map of two coordinates, known on a grid of triangles: every preimage, folds included;
    moments and escape by quadrature.
    """

    def __init__(self, space: Space, *, reach: float = 6.0, nodes: int = 401):
        self.space = space
        axis = torch.linspace(-reach, reach, nodes, dtype=torch.float64)
        self.spacing = float(axis[1] - axis[0])
        self.z = torch.cartesian_prod(axis, axis)
        self.x = space.push(self.z)
        self.stays = ~self.x.isnan().any(1)
        weight = torch.exp(-(self.z**2).sum(1) / 2) * self.spacing**2 / (2 * math.pi)
        self.escape = float(weight[~self.stays].sum())
        self.weight = torch.where(self.stays, weight, 0.0) / weight[self.stays].sum()
        corner = (torch.arange(nodes - 1)[:, None] * nodes + torch.arange(nodes - 1)).reshape(-1)
        lower = torch.stack([corner, corner + nodes, corner + 1], 1)
        upper = torch.stack([corner + nodes + 1, corner + 1, corner + nodes], 1)
        triangles = torch.cat([lower, upper])
        self.triangles = triangles[self.stays[triangles].all(1)]

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean (2,) and covariance (2, 2) over the trajectories that stay."""
        x = torch.where(self.stays[:, None], self.x, 0.0)
        mean = self.weight @ x
        away = torch.where(self.stays[:, None], x - mean, 0.0)
        return mean, (self.weight[:, None] * away).T @ away

    def log_density(self, x: Tensor) -> Tensor:
        """(n, 2) -> (n,): log of the sum over every preimage; -inf where there is none.

        Preimages are found on the triangles, then made exact by Newton's method; those that make up
        less than REFINE of a point's density keep the triangle's own estimate.
        """
        which, triangle, corner = self._hits(x)
        at, node = self.x[self.triangles[triangle]], self.z[self.triangles[triangle]]
        edges, sides = (
            torch.stack([c[:, 1] - c[:, 0], c[:, 2] - c[:, 0]], dim=2) for c in (at, node)
        )
        z = node[:, 0] + torch.einsum("nij,nj->ni", sides, corner)
        term = torch.exp(-(z**2).sum(1) / 2 - LOG_2PI) * sides.det().abs() / edges.det().abs()
        total = torch.zeros(len(x), dtype=torch.float64).index_add(0, which, term)
        (some,) = torch.nonzero(term > REFINE * total[which], as_tuple=True)
        exact, good = self._newton(z[some], x[which[some]])
        term[some] = torch.where(good, exact, term[some])
        return torch.zeros(len(x), dtype=torch.float64).index_add(0, which, term).log()

    def _newton(self, guess: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """phi(z) / |det dT/dz| at the preimage z of x next to the guess, and whether it was
        reached: (n,), (n,).
        """
        z = guess
        for _ in range(4):
            value, jacobian = self.space.total_jacobian(z)
            ((a, b), (c, d)) = jacobian.permute(1, 2, 0)
            miss = value - x
            move = (
                torch.stack([d * miss[:, 0] - b * miss[:, 1], a * miss[:, 1] - c * miss[:, 0]], 1)
                / (a * d - b * c)[:, None]
            )
            z = z - move.nan_to_num().clamp(-self.spacing, self.spacing)
        value, jacobian = self.space.total_jacobian(z)
        good = ((value - x).norm(dim=1) < 1e-9) & ((z - guess).norm(dim=1) < 2 * self.spacing)
        return torch.exp(-(z**2).sum(1) / 2 - LOG_2PI) / jacobian.det().abs(), good

    def _hits(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(query, triangle, barycentric coordinates (., 2)) of every triangle's image that contains
        a query.
        """
        at = self.x[self.triangles].numpy()
        order = np.argsort(x[:, 0].numpy())
        ordered = x.numpy()[order]
        room = 4 * len(x)
        while True:
            query, triangle = np.empty(room, np.int64), np.empty(room, np.int64)
            inside = np.empty((room, 2))
            count = _scan(ordered, at, query, triangle, inside)
            if count <= room:
                break
            room = count
        return (
            torch.from_numpy(order[query[:count]]),
            torch.from_numpy(triangle[:count]),
            torch.from_numpy(inside[:count]),
        )


@njit(cache=True)
def _scan(
    x: np.ndarray, at: np.ndarray, query: np.ndarray, triangle: np.ndarray, inside: np.ndarray
) -> int:
    """Points x (n, 2), ascending in x[:, 0], against triangles at (m, 3, 2); returns how many hits,
    writes as many as fit.
    """
    count = 0
    for k in range(len(at)):
        ax, ay = at[k, 0]
        ex, ey = at[k, 1, 0] - ax, at[k, 1, 1] - ay
        fx, fy = at[k, 2, 0] - ax, at[k, 2, 1] - ay
        det = ex * fy - ey * fx
        if det == 0:
            continue
        low, high = ay + min(0.0, ey, fy), ay + max(0.0, ey, fy)
        first = np.searchsorted(x[:, 0], ax + min(0.0, ex, fx))
        right = ax + max(0.0, ex, fx)
        for i in range(first, len(x)):
            if x[i, 0] > right:
                break
            if x[i, 1] < low or x[i, 1] > high:
                continue
            gx, gy = x[i, 0] - ax, x[i, 1] - ay
            u, w = (gx * fy - gy * fx) / det, (ex * gy - ey * gx) / det
            if u >= 0 and w >= 0 and u + w <= 1:
                if count < len(query):
                    query[count], triangle[count] = i, k
                    inside[count, 0], inside[count, 1] = u, w
                count += 1
    return count
