// Second derivatives, for training on forces and for Hessians. With S = <grad, out> and the changes ax of x and av of
// the edges, Q = <ax, dS/dx> + <av, dS/dv> is, per edge and channel,
//     g · (w P) ax + g · (w P)' x,      (w P)' = w' δr P + w δP   along av.
#pragma once

#include "first.h"

namespace equipot {
namespace EQUIPOT_ISA_NAME {

template <class T> struct SecondWork : Work<T> {
  const T *ax = nullptr;    // rows `ax_stride` apart; 0 with a row of zeros where there is no ax
  int64_t ax_stride = 0;
};

// dQ/dgrad = P (w ax + w' δr x) + δP (w x), summed by centre like the convolution itself.
template <class T, int D1, int D3, bool Diagonal>
void second_grad_channels(const SecondWork<T> &work, int64_t c, int n)
{
  const Chunk<T> &chunk = work.chunk;
  const Path &path = work.path;
  const equipot_convolution &g = work.given();
  const int stride = chunk.stride, order = static_cast<int>(g.order);
  const int64_t weight = path.weight_start + c, mul = path.mul;
  const T scale = static_cast<T>(path.scale);
  for (int64_t i = chunk.first_atom; i < chunk.last_atom; ++i) {
    Vec<T> acc[D3] = {};
    for (int s = chunk.begin(i), last = chunk.end(i); s < last; ++s) {
      const int64_t j = chunk.other[s];
      const T *x = work.x + j * g.dim_in + path.x_start + c, *ax = work.ax + j * work.ax_stride + path.x_start + c;
      Vec<T> w, w1;
      interpolate_both<T, 1>(&w, &w1, chunk.value + s, chunk.slope + s, stride, chunk.row[s] + weight, g.n_weights, order, n);
      w1 *= chunk.delta_r[s];
      EQUIPOT_UNROLL for (int m1 = 0; m1 < D1; ++m1) {
        const Vec<T> x_m = load(x + m1 * mul, n), changed = w * load(ax + m1 * mul, n) + w1 * x_m, wx = w * x_m;
        if constexpr (Diagonal) {
          acc[m1] += scale * changed;
        } else {
          EQUIPOT_UNROLL for (int m3 = 0; m3 < D3; ++m3) {
            const int at = (m3 * D1 + m1) * stride + s;
            acc[m3] += chunk.matrix[at] * changed;
            acc[m3] += chunk.delta_matrix[at] * wx;
          }
        }
      }
    }
    T *to = work.out + i * g.dim_out + path.out_start + c;
    EQUIPOT_UNROLL for (int m = 0; m < D3; ++m) store(to + m * path.out_stride, acc[m], n);
  }
}

template <class T> void build_both(const Work<T> &work)
{
  work.chunk.build(work.path, work.chunk.monomial, work.chunk.matrix);
  work.chunk.build(work.path, work.chunk.delta_monomial, work.chunk.delta_matrix);
}

template <class T, int D1, int D3, bool Diagonal> void second_grad_path(const SecondWork<T> &work)
{
  if constexpr (!Diagonal) build_both(work);
  auto one = [&](int64_t c, int n) { second_grad_channels<T, D1, D3, Diagonal>(work, c, n); };
  over_channels<T, 1>(work.path.mul, [](int64_t) {}, one);
}

// dQ/dx = w' δr (Pᵀ g) + w (δPᵀ g), and dQ/dtable through dQ/dw = Pᵀ g · ax + δPᵀ g · x and dQ/dw' = δr Pᵀ g · x.
template <class T, int D1, int D3, bool Diagonal>
void second_features_channels(const SecondWork<T> &work, int64_t c, int n)
{
  Chunk<T> &chunk = work.chunk;
  const Path &path = work.path;
  const equipot_convolution &given = work.given();
  const int stride = chunk.stride, order = static_cast<int>(given.order);
  const int64_t mul = path.mul, weight = path.weight_start + c, n_weights = given.n_weights;
  const T scale = static_cast<T>(path.scale);
  const T *table = static_cast<const T *>(given.table);
  for (int64_t j = chunk.first_atom; j < chunk.last_atom; ++j) {
    Vec<T> x_j[D1], ax_j[D1], sum[D1] = {};
    const T *x = work.x + j * given.dim_in + path.x_start + c, *ax = work.ax + j * work.ax_stride + path.x_start + c;
    EQUIPOT_UNROLL for (int m = 0; m < D1; ++m) {
      x_j[m] = load(x + m * mul, n);
      ax_j[m] = load(ax + m * mul, n);
    }
    for (int s = chunk.begin(j), last = chunk.end(j); s < last; ++s) {
      const T *grad = work.grad + chunk.other[s] * given.dim_out + path.out_start + c;
      const T delta_r = chunk.delta_r[s];
      Vec<T> g[D3], y[D1], z[D1] = {};
      EQUIPOT_UNROLL for (int m = 0; m < D3; ++m) g[m] = load(grad + m * path.out_stride, n);
      apply_transposed<T, D1, D3, Diagonal>(y, chunk.matrix + s, stride, scale, g);
      if constexpr (!Diagonal) apply_transposed<T, D1, D3, false>(z, chunk.delta_matrix + s, stride, scale, g);
      if (work.need_x) {
        Vec<T> w, w1;
        interpolate_both<T, 1>(&w, &w1, chunk.value + s, chunk.slope + s, stride, chunk.row[s] + weight, n_weights, order, n);
        w1 *= delta_r;
        EQUIPOT_UNROLL for (int m = 0; m < D1; ++m) {
          sum[m] += w1 * y[m];
          if constexpr (!Diagonal) sum[m] += w * z[m];
        }
      }
      if (work.dtable) {
        Vec<T> by_value = y[0] * ax_j[0], by_slope = y[0] * x_j[0];
        if constexpr (!Diagonal) by_value += z[0] * x_j[0];
        EQUIPOT_UNROLL for (int m = 1; m < D1; ++m) {
          by_value += y[m] * ax_j[m];
          by_slope += y[m] * x_j[m];
          if constexpr (!Diagonal) by_value += z[m] * x_j[m];
        }
        by_slope *= delta_r;
        T *to = work.dtable + (chunk.row[s] - table) + weight;
        for (int k = 0; k < 2 * order; ++k)
          store(to + k * n_weights,
                load(to + k * n_weights, n) + chunk.value[k * stride + s] * by_value +
                    chunk.slope[k * stride + s] * by_slope, n);
      }
    }
    if (work.need_x) {
      T *dx = work.dx + j * given.dim_in + path.x_start + c;
      EQUIPOT_UNROLL for (int m = 0; m < D1; ++m) store(dx + m * mul, load(dx + m * mul, n) + sum[m], n);
    }
  }
}

template <class T, int D1, int D3, bool Diagonal> void second_features_path(const SecondWork<T> &work)
{
  if constexpr (!Diagonal) build_both(work);
  auto one = [&](int64_t c, int n) { second_features_channels<T, D1, D3, Diagonal>(work, c, n); };
  over_channels<T, 1>(work.path.mul, [](int64_t) {}, one);
}

// dQ/dv of the edges of one chunk. Hessians alone need it, so it is written for being read: with the outer products
//     A = Σ_c w g ⊗ ax,  A' = Σ_c w' g ⊗ ax,  N, N', N'' = Σ_c (w, w', w'') g ⊗ x
// Q is A·P + δr N'·P + N·δP, and its derivative follows from those of r, P and δP with respect to v.
template <class T> void second_vectors(Chunk<T> &chunk, const T *x, const T *ax, int64_t ax_stride, const T *grad, T *to)
{
  const Problem &problem = *chunk.problem;
  const equipot_convolution &given = problem.given;
  const int stride = chunk.stride, n_coefficients = 2 * static_cast<int>(given.order);
  const int n_monomial = first_monomial(problem.l_max + 1);
  for (int s = 0; s < chunk.n; ++s) {
    T along_monomial[all_monomials] = {}, along_change[all_monomials] = {};    // dQ/d(monomial), dQ/d(δ monomial)
    T radial = 0, through_delta_r = 0;                                       // dQ/dr, dQ/d(δr)
    const T delta_r = chunk.delta_r[s], inverse_r = chunk.inverse_r[s];
    const T *unit = chunk.unit + s, *delta_unit = chunk.delta_unit + s;
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
              w += chunk.value[k * stride + s] * knot;
              w1 += chunk.slope[k * stride + s] * knot;
              w2 += chunk.curvature[k * stride + s] * knot;
            }
            const T g_ax = g_m[c] * ax_m[c], g_x = g_m[c] * x_m[c];
            a += w * g_ax, a1 += w1 * g_ax;
            n0 += w * g_x, n1 += w1 * g_x, n2 += w2 * g_x;
          }
          T p = 0, delta_p = 0;
          for (int t = path.first_term[entry]; t < path.first_term[entry + 1]; ++t) {
            const int k = path.terms[t].monomial;
            const T coefficient = static_cast<T>(path.terms[t].coefficient);
            p += coefficient * chunk.monomial[k * stride + s];
            delta_p += coefficient * chunk.delta_monomial[k * stride + s];
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
        const T first = static_cast<T>(monomial.power[b]) * chunk.monomial[lower * stride + s];
        by_unit[b] += along_monomial[k] * first;
        by_delta[b] += along_change[k] * first;
        for (int a = 0; a < 3; ++a) {
          if (monomials[lower].power[a] == 0) continue;
          const T mixed = static_cast<T>(monomial.power[b] * monomials[lower].power[a]) *
                          chunk.monomial[monomials[lower].lower[a] * stride + s];
          by_unit[a] += along_change[k] * mixed * delta_unit[b * stride];
        }
      }
    // u = v/r, δr = av·u, δu = (av - u δr)/r, differentiated with respect to v.
    T unit_u = 0, delta_u = 0, delta_delta = 0;
    for (int a = 0; a < 3; ++a) {
      unit_u += by_unit[a] * unit[a * stride];
      delta_u += by_delta[a] * unit[a * stride];
      delta_delta += by_delta[a] * delta_unit[a * stride];
    }
    for (int b = 0; b < 3; ++b) {
      const T u = unit[b * stride], du = delta_unit[b * stride];
      to[3 * chunk.edge[s] + b] = u * radial + through_delta_r * du + (by_unit[b] - u * unit_u) * inverse_r -
                                  u * delta_delta * inverse_r -
                                  delta_r * inverse_r * inverse_r * (by_delta[b] - u * delta_u) - delta_u * du * inverse_r;
    }
  }
}

}    // namespace EQUIPOT_ISA_NAME
}    // namespace equipot
