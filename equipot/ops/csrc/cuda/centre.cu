// Sums by centre: the convolution, or the derivative of Q = <ax, dS/dx> + <av, dS/dv> with respect to S's grad,
//     out[i] = sum over edges:  P (w x),   or   P (w ax + w' δr x) + δP (w x).
// One block per centre (and slab of paths); a warp owns 32 channels of a group of paths and keeps their sums in
// registers over all edges.
#include "tile.cu"

template <class I> inline void gather_path(const Tile &tile, int s, int channel, const Arguments &a, const real *x,
                                           const real *ax, real *sums)
{
  using P = typename I::P;
  const real *matrix = tile.matrix[s] + I::place;
  const Radial radial((const real *)a.table + tile.row[s] + P::weight_start + channel);
  const real w = radial.times(tile.value[s]);
  const real w1 = SECOND ? radial.times(tile.slope[s]) * tile.along[s] : real(0);
  const real across = SECOND ? w * tile.across[s] : real(0);
  UNROLL for (int m1 = 0; m1 < P::d1; ++m1) {
    const real changed = SECOND ? w * ax[m1] + w1 * x[m1] : w * x[m1], turned = across * x[m1];
    UNROLL for (int m3 = 0; m3 < P::d3; ++m3) {
      if (present<P>(0, m3 * P::d1 + m1)) sums[I::sum + m3] += matrix[m3 * MATRICES * P::d1 + m1] * changed;
      if (SECOND && present<P>(1, m3 * P::d1 + m1))
        sums[I::sum + m3] += matrix[(m3 * MATRICES + 1) * P::d1 + m1] * turned;
    }
  }
}

template <class I> inline void store_path(long long atom, int channel, const Arguments &a, const real *sums)
{
  using P = typename I::P;
  real *to = (real *)a.out + atom * DIM_OUT + P::out_start + channel;
  UNROLL for (int m3 = 0; m3 < P::d3; ++m3) to[m3 * P::out_stride] = sums[I::sum + m3];
}

// Paths that start from one block of the input.
template <int XStart, int D1, int Mul, class... Items> struct Group {
  static constexpr int mul = Mul;

  static inline void gather(const Tile &tile, int n, int channel, const Arguments &a, real *sums)
  {
    for (int s = 0; s < n; ++s) {
      real x[D1], ax[D1];
      const long long from = tile.other[s] * DIM_IN + XStart + channel;
      UNROLL for (int m = 0; m < D1; ++m) {
        x[m] = READ((const real *)a.x + from + m * Mul);
        ax[m] = SECOND && a.ax ? READ((const real *)a.ax + from + m * Mul) : real(0);
      }
      (gather_path<Items>(tile, s, channel, a, x, ax, sums), ...);
    }
  }

  static inline void store(long long atom, int channel, const Arguments &a, const real *sums)
  {
    (store_path<Items>(atom, channel, a, sums), ...);
  }
};

#include "groups"

KERNEL(WARPS * 32) by_centre(const Arguments a)
{
  SHARED Tile tile;
  const long long atom = blockIdx.x, end = a.rowptr[atom + 1];
  const int unit = blockIdx.y * WARPS + threadIdx.x / 32, group = unit_group[unit];
  const int wanted = unit_channel[unit] + threadIdx.x % 32;
  real sums[SUMS];
  UNROLL for (int k = 0; k < SUMS; ++k) sums[k] = 0;
  for (long long first = a.rowptr[atom]; first < end; first += TILE) {
    const int n = end - first < TILE ? (int)(end - first) : TILE;
    __syncthreads();
    for (int s = threadIdx.x; s < n; s += WARPS * 32) place(tile, s, first + s, a.neighbour[first + s], a);
    __syncthreads();
    fill_all(tile, n, blockIdx.y);
    __syncthreads();
    // Lanes beyond the channels repeat the last one and store nothing.
    with_group(group, [&](auto g) {
      using G = decltype(g);
      G::gather(tile, n, wanted < G::mul ? wanted : G::mul - 1, a, sums);
    });
  }
  with_group(group, [&](auto g) {
    using G = decltype(g);
    if (wanted < G::mul) G::store(atom, wanted, a, sums);
  });
}
