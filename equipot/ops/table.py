"""The radial table, read by Hermite interpolation between uniform knots."""

import torch
from torch import Tensor


def read_table(table: Tensor, u: Tensor, doubled_knot: int = 0) -> Tensor:
    """Return the radial weights of each edge.

    Args:
        table: (n_knots, order, n_weights): value, first and (order 3) second derivative with respect to u at
            the uniform knots on [0, 1].
        u: (n_edges,) distance over cutoff; beyond 1 the result is the value at 1 (zero).
        doubled_knot: unless 0, this knot has two rows, with the derivatives on its left and on its right side. So
            functions whose curvature jumps at the knot are interpolated as accurately as others.

    Returns:
        (n_edges, n_weights): cubic (order 2) or quintic (order 3) Hermite interpolation, C1 or C2.
    """
    n_knots, order = table.shape[0] - int(doubled_knot > 0), table.shape[1]
    position = u.clamp(max=1.0) * (n_knots - 1)
    left = position.detach().floor().clamp(max=float(n_knots - 2))
    t = position - left
    h = 1.0 / (n_knots - 1)
    t2 = t * t
    t3 = t2 * t
    if order == 2:
        rise = 3 * t2 - 2 * t3
        at_left = torch.stack([1 - rise, (t3 - 2 * t2 + t) * h], dim=1)
        at_right = torch.stack([rise, (t3 - t2) * h], dim=1)
    else:
        t4 = t2 * t2
        t5 = t4 * t
        rise = 10 * t3 - 15 * t4 + 6 * t5
        at_left = torch.stack(
            [1 - rise, (t - 6 * t3 + 8 * t4 - 3 * t5) * h, (t2 - 3 * t3 + 3 * t4 - t5) * (0.5 * h * h)], dim=1
        )
        at_right = torch.stack(
            [rise, (7 * t4 - 4 * t3 - 3 * t5) * h, (t3 - 2 * t4 + t5) * (0.5 * h * h)], dim=1
        )
    index = left.to(torch.int64)
    if doubled_knot > 0:
        index = index + (index >= doubled_knot).to(torch.int64)
    rows = torch.cat([table.index_select(0, index), table.index_select(0, index + 1)], dim=1)
    return torch.bmm(torch.cat([at_left, at_right], dim=1).unsqueeze(1), rows).squeeze(1)
