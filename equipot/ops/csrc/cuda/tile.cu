// Edges side by side in shared memory, with all that does not depend on the channel: directions, coefficients of the
// interpolation, and for every path the matrices P. A block places TILE edges, then its warps run over them.
//
// The text in front of this file is written for one set of paths (specialise.cpp): real, ORDER, N_WEIGHTS, DIM_IN,
// DIM_OUT, MONOMIALS, MATRICES, SECOND, TILE, SLOT, WARPS, SLABS, the functions `monomials` and `slope`, Path<p>.
//
// MATRICES: P; its slope along `first` over r (2); that and along `second` (3); and those two's slopes along the
// change of the direction (5). `first` and `second` are unit vectors across the edge; the first points along the
// change av of the edge where there is one.

#include "radial.cu"

constexpr int COEFFICIENTS = 2 * ORDER;

struct Tile {
  alignas(16) real matrix[TILE][SLOT];
  real value[TILE][COEFFICIENTS], slope[TILE][COEFFICIENTS];
  real curvature[SECOND ? TILE : 1][COEFFICIENTS];
  real unit[TILE][3], first[TILE][3], second[TILE][3];
  real inverse_r[TILE], along[TILE], across[TILE];    // av along the edge, and its length across
  long long edge[TILE], other[TILE], row[TILE];       // row: where the table's row at the knot below starts
  real part[WARPS][TILE][3];
};

// Hermite polynomials at t and their derivatives with respect to r: as chunk.h of the CPU.
inline void interpolation(Tile &tile, int s, real t, real h, real scale)
{
  const real t2 = t * t, t3 = t2 * t, square = scale * scale;
  real *f = tile.value[s], *d = tile.slope[s];
  if (ORDER == 2) {
    const real rise = 3 * t2 - 2 * t3, rise1 = (6 * t - 6 * t2) * scale;
    f[0] = 1 - rise, f[1] = (t3 - 2 * t2 + t) * h, f[2] = rise, f[3] = (t3 - t2) * h;
    d[0] = -rise1, d[1] = (3 * t2 - 4 * t + 1) * h * scale, d[2] = rise1, d[3] = (3 * t2 - 2 * t) * h * scale;
    if (SECOND) {
      real *c = tile.curvature[s];
      const real rise2 = (6 - 12 * t) * square;
      c[0] = -rise2, c[1] = (6 * t - 4) * h * square, c[2] = rise2, c[3] = (6 * t - 2) * h * square;
    }
  } else {
    const real t4 = t2 * t2, t5 = t4 * t, q = h * h / 2;
    const real rise = 10 * t3 - 15 * t4 + 6 * t5, rise1 = (30 * t2 - 60 * t3 + 30 * t4) * scale;
    f[0] = 1 - rise, f[1] = (t - 6 * t3 + 8 * t4 - 3 * t5) * h, f[2] = (t2 - 3 * t3 + 3 * t4 - t5) * q;
    f[3] = rise, f[COEFFICIENTS - 2] = (7 * t4 - 4 * t3 - 3 * t5) * h, f[COEFFICIENTS - 1] = (t3 - 2 * t4 + t5) * q;
    d[0] = -rise1, d[1] = (1 - 18 * t2 + 32 * t3 - 15 * t4) * h * scale;
    d[2] = (2 * t - 9 * t2 + 12 * t3 - 5 * t4) * q * scale, d[3] = rise1;
    d[COEFFICIENTS - 2] = (28 * t3 - 12 * t2 - 15 * t4) * h * scale;
    d[COEFFICIENTS - 1] = (3 * t2 - 8 * t3 + 5 * t4) * q * scale;
    if (SECOND) {
      real *c = tile.curvature[s];
      const real rise2 = (60 * t - 180 * t2 + 120 * t3) * square;
      c[0] = -rise2, c[1] = (96 * t2 - 36 * t - 60 * t3) * h * square;
      c[2] = (2 - 18 * t + 36 * t2 - 20 * t3) * q * square, c[3] = rise2;
      c[COEFFICIENTS - 2] = (84 * t2 - 24 * t - 60 * t3) * h * square;
      c[COEFFICIENTS - 1] = (6 * t - 24 * t2 + 20 * t3) * q * square;
    }
  }
}

// Any unit vector across u (Duff et al., J. Comput. Graph. Tech. 6, 1 (2017): no case distinction near a pole).
inline void any_across(const real *u, real *to)
{
  const real sign = u[2] < 0 ? real(-1) : real(1), a = -1 / (sign + u[2]);
  to[0] = 1 + sign * u[0] * u[0] * a, to[1] = sign * u[0] * u[1] * a, to[2] = -sign * u[0];
}

inline real dot3(const real *a, const real *b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

// The change av in parts along the edge and across it; the direction across becomes `first`.
inline void change(Tile &tile, int s, const real *av)
{
  const real *u = tile.unit[s];
  real *e = tile.first[s];
  tile.along[s] = tile.across[s] = 0;
  any_across(u, e);
  if (!av) return;
  // In units of the largest component, so that no square underflows.
  real largest = 0;
  for (int k = 0; k < 3; ++k) largest = fabs(av[k]) > largest ? fabs(av[k]) : largest;
  if (!(largest > 0)) return;
  const real b[3] = {av[0] / largest, av[1] / largest, av[2] / largest};
  const real along = dot3(b, u);
  tile.along[s] = largest * along;
  // Twice: what is left of a change along the edge is rounding, which need not be across.
  real t[3], again[3];
  for (int k = 0; k < 3; ++k) t[k] = b[k] - u[k] * along;
  const real rest = dot3(t, u);
  for (int k = 0; k < 3; ++k) again[k] = t[k] - u[k] * rest;
  const real length = sqrt(dot3(again, again));
  if (!(length > 0) || fabs(dot3(again, u)) > real(1e-3) * length) return;
  tile.across[s] = largest * length;
  for (int k = 0; k < 3; ++k) e[k] = again[k] / length;
}

inline void place(Tile &tile, int s, long long edge, long long other, const Arguments &a)
{
  const real *v = (const real *)a.vectors + 3 * edge;
  const real r = length(v), inverse = 1 / r;
  real *u = tile.unit[s], *e = tile.first[s], *f = tile.second[s];
  for (int k = 0; k < 3; ++k) u[k] = v[k] * inverse;
  tile.inverse_r[s] = inverse;
  tile.edge[s] = edge;
  tile.other[s] = other;
  const real cutoff = inverse_cutoff(a, edge), at = r * cutoff;
  const real intervals = real(a.n_knots - 1 - (a.doubled_knot > 0));
  real t;
  tile.row[s] = knot_below(at, a, &t) * ORDER * N_WEIGHTS;
  interpolation(tile, s, t, 1 / intervals, at <= 1 ? intervals * cutoff : real(0));
  if (MATRICES > 1) {
    change(tile, s, SECOND && a.av ? (const real *)a.av + 3 * edge : (const real *)0);
    f[0] = u[1] * e[2] - u[2] * e[1], f[1] = u[2] * e[0] - u[0] * e[2], f[2] = u[0] * e[1] - u[1] * e[0];
  }
}

// The matrices of one path of one edge, entry (m3, k, m1) of the k-th matrix at `to`.
template <class P> inline void fill(const Tile &tile, int s, real *to)
{
  const real *u = tile.unit[s];
  real m[MONOMIALS];
  monomials(u[0], u[1], u[2], m);
  P::matrix(m, to);
  if (MATRICES > 1) {
    real d1[MONOMIALS], d2[MONOMIALS], c[MONOMIALS];
    const real *e = tile.first[s], *f = tile.second[s], by = tile.inverse_r[s];
    slope(m, e[0] * by, e[1] * by, e[2] * by, d1);
    P::matrix(d1, to + P::d1);
    if (MATRICES > 2) {
      slope(m, f[0] * by, f[1] * by, f[2] * by, d2);
      P::matrix(d2, to + 2 * P::d1);
    }
    if (MATRICES > 3) {
      const real turn = tile.across[s] * by;
      slope(d1, e[0] * turn, e[1] * turn, e[2] * turn, c);
      P::matrix(c, to + 3 * P::d1);
      slope(d2, e[0] * turn, e[1] * turn, e[2] * turn, c);
      P::matrix(c, to + 4 * P::d1);
    }
  }
}

// Whether the k-th matrix of a path can have anything but zero at an entry.
template <class P> inline constexpr bool present(int k, int entry)
{
  return P::l_edge >= (k == 0 ? 0 : k < 3 ? 1 : 2) && ((entry < 64 ? P::low >> entry : P::high >> (entry - 64)) & 1);
}

// A path within a group of paths that a warp runs over: where its matrices start in a slot, its sums in an array.
template <int Path_, int Place, int Sum> struct Item {
  using P = Path<Path_>;
  static constexpr int place = Place, sum = Sum;
};

// The radial weight of a column: `column` is where it lies in the table's row at the knot below.
struct Radial {
  real knot[COEFFICIENTS];

  inline explicit Radial(const real *column)
  {
    UNROLL for (int k = 0; k < COEFFICIENTS; ++k) knot[k] = READ(column + k * N_WEIGHTS);
  }

  inline real times(const real *coefficient) const
  {
    real sum = coefficient[0] * knot[0];
    UNROLL for (int k = 1; k < COEFFICIENTS; ++k) sum += coefficient[k] * knot[k];
    return sum;
  }
};
