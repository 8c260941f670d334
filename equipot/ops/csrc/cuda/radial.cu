// Where in the table an edge reads. In front of this file: real, ORDER, N_WEIGHTS.
#include "arguments.h"

// With every fused operation written out: kernels compiled apart must find an edge in the same row, and a compiler is
// free to fuse sums of products differently in each.
inline real length(const real *v) { return sqrt(fma(v[2], v[2], fma(v[1], v[1], v[0] * v[0]))); }

// The row of the table that holds the knot below u, and how far behind that knot u lies, from 0 to 1.
inline long long knot_below(real u, const Arguments &a, real *t)
{
  const real intervals = real(a.n_knots - 1 - (a.doubled_knot > 0)), last = intervals - 1;
  const real position = (u < 1 ? u : real(1)) * intervals;
  const real below = floor(position), left = below < last ? below : last;
  *t = position - left;
  const long long row = (long long)left;
  return row + (a.doubled_knot > 0 && row >= a.doubled_knot);
}

inline real inverse_cutoff(const Arguments &a, long long edge)
{
  return ((const real *)a.inverse_cutoff)[a.cutoff_per_edge ? edge : 0];
}
