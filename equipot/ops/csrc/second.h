// Second derivatives, for training on forces and for Hessians. With S = <grad, out> and the changes ax of x and av of
// the edges, Q = <ax, dS/dx> + <av, dS/dv> is, per edge and channel,
//     g · (w P) ax + g · (w P)' x,      (w P)' = w' δr P + w δP   along av.
#pragma once

#include "first.h"

namespace equipot {
namespace EQUIPOT_ISA_NAME {

// Channels are the outermost loop, a cache line of them at a time: so the columns of the table that are read, and those
// of its gradient that are written, stay in the first cache.
constexpr int per_line = 64 / vector_bytes < 2 ? 1 : 2;

template <class T> struct SecondWork : Work<T> {
  const T *ax = nullptr;    // rows `ax_stride` apart; 0 with a row of zeros where there is no ax
  int64_t ax_stride = 0;
};

// dQ/dgrad = P (w ax + w' δr x) + δP (w x), summed by centre like the convolution itself.
template <class C, int D1, int D3, bool Diagonal>
EQUIPOT_INLINE void second_grad_columns(const C &columns, const SecondWork<typename C::T> &work, int64_t i, int64_t c)
{
  using T = typename C::T;
  using V = typename C::V;
  constexpr int U = C::U;
  const Chunk<T> &chunk = work.chunk;
  const Path &path = work.path;
  const equipot_convolution &g = work.given();
  const int order = static_cast<int>(g.order);
  const int64_t weight = path.weight_start + c, mul = path.mul;
  V acc[D3][U] = {};
  for (int s = chunk.begin(i), last = chunk.end(i); s < last; ++s) {
    const int64_t j = chunk.other[s];
    const T *x = work.x + j * g.dim_in + path.x_start + c, *ax = work.ax + j * work.ax_stride + path.x_start + c;
    const T *matrix = chunk.unit.matrix.slot(s), *change = chunk.delta.matrix.slot(s);
    V w[U], w1[U];
    interpolate_both(columns, w, w1, chunk.value.slot(s), chunk.slope.slot(s), chunk.row[s] + weight, g.n_weights,
                     order);
    EQUIPOT_UNROLL for (int u = 0; u < U; ++u) w1[u] *= chunk.delta_r.at(s, 0);
    EQUIPOT_UNROLL for (int m1 = 0; m1 < D1; ++m1) {
      V changed[U], wx[U];
      EQUIPOT_UNROLL for (int u = 0; u < U; ++u) {
        const V x_m = columns.read(x + m1 * mul, u);
        changed[u] = w[u] * columns.read(ax + m1 * mul, u) + w1[u] * x_m;
        wx[u] = w[u] * x_m;
      }
      if constexpr (Diagonal) {
        EQUIPOT_UNROLL for (int u = 0; u < U; ++u) acc[m1][u] += static_cast<T>(path.scale) * changed[u];
      } else {
        EQUIPOT_UNROLL for (int m3 = 0; m3 < D3; ++m3)
          EQUIPOT_UNROLL for (int u = 0; u < U; ++u) acc[m3][u] += matrix[(m3 * D1 + m1) * step<C>] * changed[u];
        EQUIPOT_UNROLL for (int m3 = 0; m3 < D3; ++m3)
          EQUIPOT_UNROLL for (int u = 0; u < U; ++u) acc[m3][u] += change[(m3 * D1 + m1) * step<C>] * wx[u];
      }
    }
  }
  T *to = work.out + i * g.dim_out + path.out_start + c;
  EQUIPOT_UNROLL for (int m = 0; m < D3; ++m)
    EQUIPOT_UNROLL for (int u = 0; u < U; ++u) columns.write(to + m * path.out_stride, u, acc[m][u]);
}

template <class T, int D1, int D3, bool Diagonal> void second_grad_path(const SecondWork<T> &work)
{
  if constexpr (!Diagonal) work.chunk.build(work.path, work.chunk.unit, work.chunk.delta);
  over_channels<T, vectors_together(D3 + 4)>(work.path.mul, [&](const auto &columns, int64_t c) EQUIPOT_INLINE_LAMBDA {
    for (int64_t i = work.chunk.first_atom; i < work.chunk.last_atom; ++i)
      second_grad_columns<std::decay_t<decltype(columns)>, D1, D3, Diagonal>(columns, work, i, c);
  });
}

// dQ/dx = w' δr (Pᵀ g) + w (δPᵀ g), and dQ/dtable through dQ/dw = Pᵀ g · ax + δPᵀ g · x and dQ/dw' = δr Pᵀ g · x: the
// sums over the edges that lead to neighbour j, for the channels from c on.
template <class C, int D1, int D3, bool Diagonal>
EQUIPOT_INLINE void second_features_columns(const C &columns, const SecondWork<typename C::T> &work, int64_t j, int64_t c)
{
  using T = typename C::T;
  using V = typename C::V;
  constexpr int U = C::U;
  const Chunk<T> &chunk = work.chunk;
  const Path &path = work.path;
  const equipot_convolution &given = work.given();
  const int order = static_cast<int>(given.order);
  const int64_t mul = path.mul, n_weights = given.n_weights;
  const T scale = static_cast<T>(path.scale);
  T *const table = work.dtable ? work.dtable + path.weight_start + c : nullptr;
  V x[D1][U], ax[D1][U], sum[D1][U] = {};
  const T *from = work.x + j * given.dim_in + path.x_start + c, *change = work.ax + j * work.ax_stride + path.x_start + c;
  EQUIPOT_UNROLL for (int m = 0; m < D1; ++m)
    EQUIPOT_UNROLL for (int u = 0; u < U; ++u) {
      x[m][u] = columns.read(from + m * mul, u);
      ax[m][u] = columns.read(change + m * mul, u);
    }
  for (int s = chunk.begin(j), last = chunk.end(j); s < last; ++s) {
    const T *grad = work.grad + chunk.other[s] * given.dim_out + path.out_start + c;
    const T delta_r = chunk.delta_r.at(s, 0);
    V w[U] = {}, w1[U] = {}, by_value[U] = {}, by_slope[U] = {};
    if (work.need_x) {
      interpolate_both(columns, w, w1, chunk.value.slot(s), chunk.slope.slot(s), chunk.row[s] + path.weight_start + c,
                       n_weights, order);
      EQUIPOT_UNROLL for (int u = 0; u < U; ++u) w1[u] *= delta_r;
    }
    over_row_groups<D1, rows_together<D1, U, 2>()>([&](auto rows, int first) EQUIPOT_INLINE_LAMBDA {
      constexpr int R = decltype(rows)::value;
      V y[R][U], z[R][U];
      if constexpr (Diagonal) {
        EQUIPOT_UNROLL for (int r = 0; r < R; ++r)
          EQUIPOT_UNROLL for (int u = 0; u < U; ++u)
            y[r][u] = scale * columns.read(grad + (first + r) * path.out_stride, u);
      } else {
        transposed_rows<C, D1, D3, R>(columns, y, chunk.unit.matrix.slot(s), grad, path.out_stride, first);
        transposed_rows<C, D1, D3, R>(columns, z, chunk.delta.matrix.slot(s), grad, path.out_stride, first);
      }
      EQUIPOT_UNROLL for (int r = 0; r < R; ++r)
        EQUIPOT_UNROLL for (int u = 0; u < U; ++u) {
          by_slope[u] += y[r][u] * x[first + r][u];
          by_value[u] += y[r][u] * ax[first + r][u];
          sum[first + r][u] += w1[u] * y[r][u];
          if constexpr (!Diagonal) {
            by_value[u] += z[r][u] * x[first + r][u];
            sum[first + r][u] += w[u] * z[r][u];
          }
        }
    });
    if (table) {
      EQUIPOT_UNROLL for (int u = 0; u < U; ++u) by_slope[u] *= delta_r;
      add_to_table(columns, table + chunk.table_offset(s), n_weights, order, chunk.value.slot(s), chunk.slope.slot(s),
                   by_value, by_slope);
    }
  }
  if (work.need_x) {
    T *dx = work.dx + j * given.dim_in + path.x_start + c;
    EQUIPOT_UNROLL for (int m = 0; m < D1; ++m)
      EQUIPOT_UNROLL for (int u = 0; u < U; ++u) add_to(columns, dx + m * mul, u, sum[m][u]);
  }
}

template <class T, int D1, int D3, bool Diagonal> void second_features_path(const SecondWork<T> &work)
{
  if constexpr (!Diagonal) work.chunk.build(work.path, work.chunk.unit, work.chunk.delta);
  over_channels<T, per_line>(
      work.path.mul, [&](const auto &columns, int64_t c) EQUIPOT_INLINE_LAMBDA {
        for (int64_t j = work.chunk.first_atom; j < work.chunk.last_atom; ++j)
          second_features_columns<std::decay_t<decltype(columns)>, D1, D3, Diagonal>(columns, work, j, c);
      });
}

// dQ/dv of the edges of one chunk. Hessians alone need it, so it is written for being read: with the outer products
//     A = Σ_c w g ⊗ ax,  A' = Σ_c w' g ⊗ ax,  N, N', N'' = Σ_c (w, w', w'') g ⊗ x
// Q is A·P + δr N'·P + N·δP, and its derivative follows from those of r, P and δP with respect to v.
template <class T> void second_vectors(Chunk<T> &chunk, const T *x, const T *ax, int64_t ax_stride, const T *grad, T *to)
{
  const Problem &problem = *chunk.problem;
  const equipot_convolution &given = problem.given;
  const int n_coefficients = 2 * static_cast<int>(given.order);
  const int n_monomial = first_monomial(problem.l_max + 1);
  for (int s = 0; s < chunk.n; ++s) {
    T along_monomial[all_monomials] = {}, along_change[all_monomials] = {};    // dQ/d(monomial), dQ/d(δ monomial)
    T radial = 0, through_delta_r = 0;                                       // dQ/dr, dQ/d(δr)
    const T delta_r = chunk.delta_r.at(s, 0), inverse_r = chunk.inverse_r.at(s, 0);
    const T *unit = chunk.unit.vector.slot(s), *delta_unit = chunk.delta.vector.slot(s);
    // Slots are edges by centre here: `other` is the neighbour.
    const int64_t i = given.centre[chunk.edge[s]], j = chunk.other[s];
    for (const Path &path : problem.paths) {
      const int d1 = 2 * path.l_in + 1, d3 = 2 * path.l_out + 1;
      for (int m3 = 0; m3 < d3; ++m3)
        for (int m1 = 0; m1 < d1; ++m1) {
          const int entry = m3 * d1 + m1;
          if (path.first_term[entry] == path.first_term[entry + 1]) continue;
          const T *g_m = grad + i * given.dim_out + path.out_start + m3 * path.out_stride;
          const T *x_m = x + j * given.dim_in + path.x_start + m1 * path.mul;
          const T *ax_m = ax + j * ax_stride + path.x_start + m1 * path.mul;
          T a = 0, a1 = 0, n0 = 0, n1 = 0, n2 = 0;
          for (int64_t c = 0; c < path.mul; ++c) {
            T w = 0, w1 = 0, w2 = 0;
            for (int k = 0; k < n_coefficients; ++k) {
              const T knot = chunk.row[s][path.weight_start + c + k * given.n_weights];
              w += chunk.value.at(s, k) * knot;
              w1 += chunk.slope.at(s, k) * knot;
              w2 += chunk.curvature.at(s, k) * knot;
            }
            const T g_ax = g_m[c] * ax_m[c], g_x = g_m[c] * x_m[c];
            a += w * g_ax, a1 += w1 * g_ax;
            n0 += w * g_x, n1 += w1 * g_x, n2 += w2 * g_x;
          }
          T p = 0, delta_p = 0;
          for (int t = path.first_term[entry]; t < path.first_term[entry + 1]; ++t) {
            const int k = path.terms[t].source;
            const T coefficient = static_cast<T>(path.terms[t].coefficient);
            p += coefficient * chunk.unit.monomial.at(s, k);
            delta_p += coefficient * chunk.delta.monomial.at(s, k);
            along_monomial[k] += coefficient * (a + delta_r * n1);
            along_change[k] += coefficient * n0;
          }
          radial += a1 * p + delta_r * n2 * p + n1 * delta_p;
          through_delta_r += n1 * p;
        }
    }
    // dQ/du from the monomials and, where δ monomial = ∇monomial · δu, from its gradient; and dQ/d(δu).
    T by_unit[3] = {}, by_delta[3] = {};
    for (int k = 1; k < n_monomial; ++k)
      for (int b = 0; b < 3; ++b) {
        const Monomial &monomial = monomials[k];
        if (monomial.power[b] == 0) continue;
        const int lower = monomial.lower[b];
        const T first = static_cast<T>(monomial.power[b]) * chunk.unit.monomial.at(s, lower);
        by_unit[b] += along_monomial[k] * first;
        by_delta[b] += along_change[k] * first;
        for (int a = 0; a < 3; ++a) {
          if (monomials[lower].power[a] == 0) continue;
          const T mixed = static_cast<T>(monomial.power[b] * monomials[lower].power[a]) *
                          chunk.unit.monomial.at(s, monomials[lower].lower[a]);
          by_unit[a] += along_change[k] * mixed * delta_unit[b * SlotRows<T>::L];
        }
      }
    // u = v/r, δr = av·u, δu = (av - u δr)/r, differentiated with respect to v.
    T unit_u = 0, delta_u = 0, delta_delta = 0;
    for (int a = 0; a < 3; ++a) {
      unit_u += by_unit[a] * unit[a * SlotRows<T>::L];
      delta_u += by_delta[a] * unit[a * SlotRows<T>::L];
      delta_delta += by_delta[a] * delta_unit[a * SlotRows<T>::L];
    }
    for (int b = 0; b < 3; ++b) {
      const T u = unit[b * SlotRows<T>::L], du = delta_unit[b * SlotRows<T>::L];
      to[3 * chunk.edge[s] + b] = u * radial + through_delta_r * du + (by_unit[b] - u * unit_u) * inverse_r -
                                  u * delta_delta * inverse_r -
                                  delta_r * inverse_r * inverse_r * (by_delta[b] - u * delta_u) - delta_u * du * inverse_r;
    }
  }
}

}    // namespace EQUIPOT_ISA_NAME
}    // namespace equipot
