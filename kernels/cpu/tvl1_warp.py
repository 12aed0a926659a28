"""The data term of TV-L1, linearised around the flow so far: bicubic warping of the second image and its gradient."""

from __future__ import annotations

from typing import Any

from numba import njit, types
from numba.extending import intrinsic

from .tvl1_lanes import FLOAT, LANES, Lanes, Memory, counted_from, four_by_four, splat
from .tvl1_planes import PAD_LEFT, PAD_ROWS
from .tvl1_solver import BOUND, FLOW_PLANES, N1, N2, RHO, STATE_PLANES, U1, U2

_NO_GRADIENT = 1e-6  # squared; below this a pixel says nothing about motion


def _cubic(t: Lanes) -> tuple[list[Lanes], list[Lanes]]:
    """Weights of four taps at the fraction ``t`` behind the second one, and their derivatives (Keys 1981, a = -1/2).

    At t = 0 the derivatives are the central difference.
    """
    squared = t * t
    weights = [
        t.times_plus(-0.5, 1.0).times_plus(t, -0.5) * t,
        t.times_plus(1.5, -2.5).times_plus(squared, 1.0),
        t.times_plus(-1.5, 2.0).times_plus(t, 0.5) * t,
        t.times_plus(0.5, -0.5) * squared,
    ]
    slopes = [
        t.times_plus(-1.5, 2.0).times_plus(t, -0.5),
        t.times_plus(4.5, -5.0) * t,
        t.times_plus(-4.5, 4.0).times_plus(t, 0.5),
        t.times_plus(1.5, -1.0) * t,
    ]
    return weights, slopes


def _sampled(builder: Any, image: Memory, x: Lanes, y: Lanes, line: Any) -> tuple[Lanes, Lanes, Lanes]:
    """Sample an image with its gradient at 16 positions, all taps inside: value, d/dx, d/dy."""
    left, top = x.floor(), y.floor()
    across, across_slope = _cubic(x - left)
    down, down_slope = _cubic(y - top)
    columns, rows = left.integers(), top.integers()
    firsts = [
        builder.add(builder.mul(builder.sext(row, line.type), line), builder.sext(column, line.type))
        for row, column in zip(rows, columns, strict=True)
    ]
    value = dx = dy = x.of(0.0)
    for j in range(4):
        shift = builder.add(builder.mul(line, line.type(j - 1)), line.type(-1))
        taps = four_by_four(builder, [image.load_four(builder.add(first, shift)) for first in firsts])
        row = taps[0] * across[0]
        slope = taps[0] * across_slope[0]
        for i in range(1, 4):
            row = taps[i].times_plus(across[i], row)
            slope = taps[i].times_plus(across_slope[i], slope)
        value = row.times_plus(down[j], value)
        dx = slope.times_plus(down[j], dx)
        dy = row.times_plus(down_slope[j], dy)
    return value, dx, dy


@intrinsic  # type: ignore[untyped-decorator]
def _linearise_lanes(
    typing_context: Any, image0: Any, image1: Any, flow: Any, state: Any, image_at: Any, origin: Any, flow_at: Any,
    state_at: Any, line: Any, x: Any, y: Any, width: Any, height: Any, threshold: Any,
) -> Any:  # fmt: skip
    """Write n, rho and bound of 16 pixels; see ``vidprep.kernels.cpu.tvl1_solver`` for what they mean.

    ``image_at`` and ``origin`` are flat indices of the first of the 16 pixels and of pixel (0, 0) of an image.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        arrays, (here, first, u_index, p_index, stride, column, row, columns, rows, limit) = args[:4], args[4:]
        image0_, u, p = (
            Memory(context, builder, kind, array, index)
            for kind, array, index in (
                (signature.args[0], arrays[0], here),
                (signature.args[2], arrays[2], u_index),
                (signature.args[3], arrays[3], p_index),
            )
        )
        image1_ = Memory(context, builder, signature.args[1], arrays[1], first)

        def plane(i: int) -> Any:
            return builder.mul(stride, stride.type(i))

        u1, u2 = u.load(plane(U1)), u.load(plane(U2))
        last_x = splat(builder, builder.sitofp(builder.sub(columns, columns.type(1)), FLOAT))
        last_y = splat(builder, builder.sitofp(builder.sub(rows, rows.type(1)), FLOAT))
        position = counted_from(builder, column)
        x, y = position + u1, splat(builder, builder.sitofp(row, FLOAT)) + u2
        inside_x, inside_y = x.clamp(0.0, last_x), y.clamp(0.0, last_y)
        value, dx, dy = _sampled(builder, image1_, inside_x, inside_y, stride)
        # The mean of both images' gradients, as both are estimates of the same (Wedel et al. 2009).
        minus = builder.sub(stride.type(0), stride)
        dx = (image0_.load(1) - image0_.load(-1)).times_plus(0.5, dx) * 0.5
        dy = (image0_.load(stride) - image0_.load(minus)).times_plus(0.5, dy) * 0.5
        squared = dx.times_plus(dx, dy * dy)
        outside = builder.or_(
            builder.or_((x - inside_x).differs(0.0), (y - inside_y).differs(0.0)), last_x.less(position)
        )
        silent = builder.or_(outside, squared.less(_NO_GRADIENT))
        nothing = squared.of(0.0)
        inverse = nothing.where(silent, squared.of(1.0) / squared.sqrt())
        n1, n2 = dx * inverse, dy * inverse
        rho = (value - image0_.load(0)) * inverse - n1.times_plus(u1, n2 * u2)
        p.store(n1, plane(N1))
        p.store(n2, plane(N2))
        p.store(nothing.where(silent, rho), plane(RHO))
        p.store(nothing.where(silent, squared * inverse * splat(builder, limit)), plane(BOUND))
        return context.get_dummy_value()

    index = (types.intp,) * 9
    return types.void(image0, image1, flow, state, *index, types.float32), generate


@njit(nogil=True, cache=True)
def linearise(image0, image1, flow, state, height, width, threshold, first, last):  # type: ignore[no-untyped-def]
    """Write the data term of rows ``first`` to ``last`` (excluded) into ``state``, linearised around ``flow``.

    Parameters
    ----------
    image0, image1
        One plane each, edges repeated.
    flow, state
        Planes of u, and those that the data term goes to.
    height, width
        Of the level.
    threshold
        lambda theta, for intensities of 0 to 255.
    first, last
        Rows to do.
    """
    line = flow.shape[2]
    origin = PAD_ROWS * line + PAD_LEFT
    for y in range(first, last):
        row = y + PAD_ROWS
        for x in range(0, width, LANES):
            at = PAD_LEFT + x
            _linearise_lanes(
                image0, image1, flow, state, row * line + at, origin, row * FLOW_PLANES * line + at,
                row * STATE_PLANES * line + at, line, x, y, width, height, threshold,
            )  # fmt: skip
