// Sums by neighbour, which need no atomic additions: the derivatives of S = <grad, out> with respect to x and the edge
// vectors, or those of Q = <ax, dS/dx> + <av, dS/dv>. With y = Pᵀ g, and y1, y2 (z1, z2) the same of the slopes
// (second slopes) of P across the edge:
//     dS/dx = w y,              dS/dv  along, first, second = w' y·x,  w y1·x,  w y2·x
//     dQ/dx = w' δr y + w τ y1, dQ/dv: as written in `across_path`,    τ = |av across the edge|
// One block per neighbour; a warp owns 32 channels of the paths from one block of the input.
#include "tile.cu"

struct Share {
  real along, first, second;    // of dv
};

template <class I> inline void across_path(const Tile &tile, int s, int channel, const Arguments &a, const real *x,
                                           const real *ax, real *dx, Share &share)
{
  using P = typename I::P;
  const real *matrix = tile.matrix[s] + I::place;
  const real *grad = (const real *)a.grad + tile.other[s] * DIM_OUT + P::out_start + channel;
  const Radial radial((const real *)a.table + tile.row[s] + P::weight_start + channel);
  real y[MATRICES][P::d1];
  UNROLL for (int k = 0; k < MATRICES; ++k)
    UNROLL for (int m1 = 0; m1 < P::d1; ++m1) y[k][m1] = 0;
  UNROLL for (int m3 = 0; m3 < P::d3; ++m3) {
    const real g = READ(grad + m3 * P::out_stride);
    UNROLL for (int k = 0; k < MATRICES; ++k)
      UNROLL for (int m1 = 0; m1 < P::d1; ++m1)
        if (present<P>(k, m3 * P::d1 + m1)) y[k][m1] += matrix[(m3 * MATRICES + k) * P::d1 + m1] * g;
  }
  real with_x[MATRICES], with_ax[MATRICES];
  UNROLL for (int k = 0; k < MATRICES; ++k) {
    with_x[k] = with_ax[k] = 0;
    UNROLL for (int m1 = 0; m1 < P::d1; ++m1) with_x[k] += y[k][m1] * x[m1];
    if (SECOND) UNROLL for (int m1 = 0; m1 < P::d1; ++m1) with_ax[k] += y[k][m1] * ax[m1];
  }
  const real w = radial.times(tile.value[s]);
  [[maybe_unused]] const real w1 = SECOND || WANT_V ? radial.times(tile.slope[s]) : real(0);
  if constexpr (!SECOND) {
    UNROLL for (int m1 = 0; m1 < P::d1; ++m1) dx[m1] += w * y[0][m1];
    if constexpr (WANT_V) {
      share.along += w1 * with_x[0];
      share.first += w * with_x[1];
      share.second += w * with_x[2];
    }
  } else {
    const real along = tile.along[s], across = tile.across[s];
    UNROLL for (int m1 = 0; m1 < P::d1; ++m1) dx[m1] += w1 * along * y[0][m1] + w * across * y[1][m1];
    if constexpr (WANT_V) {
      const real w2 = radial.times(tile.curvature[s]), by = tile.inverse_r[s];
      const real steep = (w1 - w * by) * along, turn = across * by;
      share.along += w1 * with_ax[0] + w2 * along * with_x[0] + (w1 - w * by) * across * with_x[1];
      share.first += turn * (w1 - real(P::l_edge) * w * by) * with_x[0] + w * with_ax[1] + steep * with_x[1] +
                     w * with_x[3];
      share.second += w * with_ax[2] + steep * with_x[2] + w * with_x[4];
    }
  }
}

template <int XStart, int D1, int Mul, class... Items> struct Group {
  static constexpr int mul = Mul;

  static inline void read(long long atom, int channel, bool active, const Arguments &a, real *x, real *ax)
  {
    const long long from = atom * DIM_IN + XStart + channel;
    UNROLL for (int m = 0; m < D1; ++m) {
      x[m] = active ? ((const real *)a.x)[from + m * Mul] : real(0);
      ax[m] = active && SECOND && a.ax ? ((const real *)a.ax)[from + m * Mul] : real(0);
    }
  }

  static inline void run(Tile &tile, int n, int channel, const Arguments &a, const real *x, const real *ax, real *dx)
  {
    for (int s = 0; s < n; ++s) {
      Share share = {0, 0, 0};
      (across_path<Items>(tile, s, channel, a, x, ax, dx, share), ...);
      if constexpr (WANT_V) {
        // Always in the same order.
        UNROLL for (int step = 16; step > 0; step /= 2) {
          share.along += __shfl_xor_sync(0xffffffffu, share.along, step);
          share.first += __shfl_xor_sync(0xffffffffu, share.first, step);
          share.second += __shfl_xor_sync(0xffffffffu, share.second, step);
        }
        if (threadIdx.x % 32 == 0) {
          real *part = tile.part[threadIdx.x / 32][s];
          part[0] = share.along, part[1] = share.first, part[2] = share.second;
        }
      }
    }
  }

  static inline void store(long long atom, int channel, const Arguments &a, const real *dx)
  {
    real *to = (real *)a.dx + atom * DIM_IN + XStart + channel;
    UNROLL for (int m = 0; m < D1; ++m) to[m * Mul] = dx[m];
  }
};

#include "groups"

KERNEL(WARPS * 32) by_neighbour(const Arguments a)
{
  SHARED Tile tile;
  const long long atom = blockIdx.x, end = a.transpose_rowptr[atom + 1];
  const int slab = blockIdx.y, unit = slab * WARPS + threadIdx.x / 32, group = unit_group[unit];
  const int wanted = unit_channel[unit] + threadIdx.x % 32;
  real x[WIDEST], ax[WIDEST], dx[WIDEST];
  UNROLL for (int k = 0; k < WIDEST; ++k) x[k] = ax[k] = dx[k] = 0;
  with_group(group, [&](auto g) {
    using G = decltype(g);
    const bool active = wanted < G::mul;
    G::read(atom, active ? wanted : G::mul - 1, active, a, x, ax);
  });
  real *dvectors = (real *)(SLABS > 1 ? a.slab_vectors : a.dvectors);
  for (long long first = a.transpose_rowptr[atom]; first < end; first += TILE) {
    const int n = end - first < TILE ? (int)(end - first) : TILE;
    __syncthreads();
    for (int s = threadIdx.x; s < n; s += WARPS * 32) {
      const long long edge = a.transpose_edges[first + s];
      place(tile, s, edge, a.centre[edge], a);
    }
    __syncthreads();
    fill_all(tile, n, slab);
    __syncthreads();
    with_group(group, [&](auto g) {
      using G = decltype(g);
      G::run(tile, n, wanted < G::mul ? wanted : G::mul - 1, a, x, ax, dx);
    });
    if (!WANT_V) continue;
    __syncthreads();
    for (int k = threadIdx.x; k < 3 * n; k += WARPS * 32) {
      const int s = k / 3, axis = k % 3;
      real sum[3] = {0, 0, 0};
      for (int warp = 0; warp < slab_warps[slab]; ++warp)
        for (int part = 0; part < 3; ++part) sum[part] += tile.part[warp][s][part];
      dvectors[3 * (slab * a.n_edges + tile.edge[s]) + axis] =
          tile.unit[s][axis] * sum[0] + tile.first[s][axis] * sum[1] + tile.second[s][axis] * sum[2];
    }
  }
  if (!WANT_X) return;
  with_group(group, [&](auto g) {
    using G = decltype(g);
    if (wanted < G::mul) G::store(atom, wanted, a, dx);
  });
}
