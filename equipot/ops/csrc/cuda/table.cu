// The derivative of S or Q with respect to the radial table. A block owns a piece of the edges that read one row of
// the table; its sums over these edges stay in registers, (2 order) for each column. Pieces depend on the problem
// alone, and sum_pieces (rows.cu) adds them in their order.
#include "tile.cu"

template <class I> inline void share_path(const Tile &tile, int s, int channel, const Arguments &a, const real *x,
                                          const real *ax, real *sums)
{
  using P = typename I::P;
  const real *matrix = tile.matrix[s] + I::place;
  const real *grad = (const real *)a.grad + tile.other[s] * DIM_OUT + P::out_start + channel;
  real y[MATRICES][P::d1];
  UNROLL for (int k = 0; k < MATRICES; ++k)
    UNROLL for (int m1 = 0; m1 < P::d1; ++m1) y[k][m1] = 0;
  UNROLL for (int m3 = 0; m3 < P::d3; ++m3) {
    const real g = READ(grad + m3 * P::out_stride);
    UNROLL for (int k = 0; k < MATRICES; ++k)
      UNROLL for (int m1 = 0; m1 < P::d1; ++m1)
        if (present<P>(k, m3 * P::d1 + m1)) y[k][m1] += matrix[(m3 * MATRICES + k) * P::d1 + m1] * g;
  }
  real straight = 0, changed = 0, turned = 0;
  UNROLL for (int m1 = 0; m1 < P::d1; ++m1) {
    straight += y[0][m1] * x[m1];
    if (SECOND) changed += y[0][m1] * ax[m1];
    if (SECOND) turned += y[MATRICES - 1][m1] * x[m1];
  }
  const real by_value = SECOND ? changed + tile.across[s] * turned : straight;
  const real by_slope = SECOND ? tile.along[s] * straight : real(0);
  UNROLL for (int k = 0; k < COEFFICIENTS; ++k) {
    sums[I::sum + k] += tile.value[s][k] * by_value;
    if (SECOND) sums[I::sum + k] += tile.slope[s][k] * by_slope;
  }
}

template <class I> inline void store_path(long long piece, int channel, const Arguments &a, const real *sums)
{
  real *to = (real *)a.piece_sums + piece * COEFFICIENTS * N_WEIGHTS + I::P::weight_start + channel;
  UNROLL for (int k = 0; k < COEFFICIENTS; ++k) to[k * N_WEIGHTS] = sums[I::sum + k];
}

template <int XStart, int D1, int Mul, class... Items> struct Group {
  static constexpr int mul = Mul;

  static inline void run(const Tile &tile, int n, int channel, const Arguments &a, real *sums)
  {
    for (int s = 0; s < n; ++s) {
      real x[D1], ax[D1];
      const long long from = a.neighbour[tile.edge[s]] * DIM_IN + XStart + channel;
      UNROLL for (int m = 0; m < D1; ++m) {
        x[m] = READ((const real *)a.x + from + m * Mul);
        ax[m] = SECOND && a.ax ? READ((const real *)a.ax + from + m * Mul) : real(0);
      }
      (share_path<Items>(tile, s, channel, a, x, ax, sums), ...);
    }
  }

  static inline void store(long long piece, int channel, const Arguments &a, const real *sums)
  {
    (store_path<Items>(piece, channel, a, sums), ...);
  }
};

#include "groups"

KERNEL(WARPS * 32) by_row(const Arguments a)
{
  SHARED Tile tile;
  const int piece = blockIdx.x;
  int row = 0, beyond = (int)a.n_knots;    // the row whose pieces hold this one, if there are so many
  if (piece >= a.piece_start[beyond]) return;
  while (beyond - row > 1) {
    const int middle = (row + beyond) / 2;
    if (a.piece_start[middle] <= piece) row = middle;
    else beyond = middle;
  }
  const long long begin = a.row_start[row] + (piece - a.piece_start[row]) * a.piece_size;
  const long long end = begin + a.piece_size < a.row_start[row + 1] ? begin + a.piece_size : a.row_start[row + 1];
  const int unit = blockIdx.y * WARPS + threadIdx.x / 32, group = unit_group[unit];
  const int wanted = unit_channel[unit] + threadIdx.x % 32;
  real sums[SUMS];
  UNROLL for (int k = 0; k < SUMS; ++k) sums[k] = 0;
  for (long long first = begin; first < end; first += TILE) {
    const int n = end - first < TILE ? (int)(end - first) : TILE;
    __syncthreads();
    for (int s = threadIdx.x; s < n; s += WARPS * 32) {
      const long long edge = a.sorted[first + s];
      place(tile, s, edge, a.centre[edge], a);
    }
    __syncthreads();
    fill_all(tile, n, blockIdx.y);
    __syncthreads();
    with_group(group, [&](auto g) {
      using G = decltype(g);
      G::run(tile, n, wanted < G::mul ? wanted : G::mul - 1, a, sums);
    });
  }
  with_group(group, [&](auto g) {
    using G = decltype(g);
    if (wanted < G::mul) G::store(piece, wanted, a, sums);
  });
}
