// The convolution and its first derivatives: for one path of one chunk of edges.
//
// Vectors run over channels. D1 = 2 l_in + 1 and D3 = 2 l_out + 1 are known to the compiler, so sums stay in registers;
// the matrix P of an edge is read element by element, each element serving whole vectors.
#pragma once

#include "chunk.h"

namespace equipot {
namespace EQUIPOT_ISA_NAME {

template <class T> struct Work {
  Chunk<T> &chunk;
  const Path &path;
  const T *x = nullptr, *grad = nullptr;    // features; gradient of the output
  T *out = nullptr, *dx = nullptr, *dtable = nullptr;
  bool need_x = true;

  const equipot_convolution &given() const { return chunk.problem->given; }
};

// From one row of a slot to the next.
template <class C> constexpr int step = SlotRows<typename C::T>::L;

// Radial weights of one edge: rows of the table times interpolation coefficients.
template <class C>
EQUIPOT_INLINE void interpolate(const C &columns, typename C::V *w, const typename C::T *coefficient,
                                const typename C::T *row, int64_t row_size, int order)
{
  auto add = [&](int k) EQUIPOT_INLINE_LAMBDA {
    EQUIPOT_UNROLL for (int u = 0; u < C::U; ++u)
      w[u] += coefficient[k * step<C>] * columns.read(row + k * row_size, u);
  };
  EQUIPOT_UNROLL for (int u = 0; u < C::U; ++u) w[u] = coefficient[0] * columns.read(row, u);
  EQUIPOT_UNROLL for (int k = 1; k < 4; ++k) add(k);
  if (order == 3) EQUIPOT_UNROLL for (int k = 4; k < 6; ++k) add(k);
}

// The same with the derivative, reading the rows once.
template <class C>
EQUIPOT_INLINE void interpolate_both(const C &columns, typename C::V *w, typename C::V *w1, const typename C::T *value,
                                     const typename C::T *slope, const typename C::T *row, int64_t row_size,
                                     int order)
{
  auto add = [&](int k) EQUIPOT_INLINE_LAMBDA {
    EQUIPOT_UNROLL for (int u = 0; u < C::U; ++u) {
      const typename C::V part = columns.read(row + k * row_size, u);
      w[u] += value[k * step<C>] * part;
      w1[u] += slope[k * step<C>] * part;
    }
  };
  EQUIPOT_UNROLL for (int u = 0; u < C::U; ++u) {
    const typename C::V part = columns.read(row, u);
    w[u] = value[0] * part;
    w1[u] = slope[0] * part;
  }
  EQUIPOT_UNROLL for (int k = 1; k < 4; ++k) add(k);
  if (order == 3) EQUIPOT_UNROLL for (int k = 4; k < 6; ++k) add(k);
}

// The same number, but the compiler does not know it. So it computes addresses where they are used. Otherwise it computes
// all of them before the loop and reads them back from the stack, which takes longer.
EQUIPOT_INLINE int64_t opaque(int64_t n)
{
  asm("" : "+r"(n));
  return n;
}

// Vectors of channels side by side, if each of them needs `registers`: one element of P serves them all.
constexpr int vectors_together(int registers) { return 2 * registers + 4 <= n_registers ? 2 : 1; }

// The sums over the edges of centre i, for the channels from c on.
template <class C, int D1, int D3, bool Diagonal>
EQUIPOT_INLINE void forward_columns(const C &columns, const Work<typename C::T> &work, int64_t i, int64_t c)
{
  using V = typename C::V;
  const auto &chunk = work.chunk;
  const Path &path = work.path;
  const equipot_convolution &g = work.given();
  constexpr int U = C::U;
  const int order = static_cast<int>(g.order);
  const auto *x = work.x + path.x_start + c;
  const int64_t weight = path.weight_start + c, mul = path.mul;
  V acc[D3][U] = {};
  for (int s = chunk.begin(i), last = chunk.end(i); s < last; ++s) {
    V w[U];
    interpolate(columns, w, chunk.value.slot(s), chunk.row[s] + weight, g.n_weights, order);
    const auto *x_j = x + chunk.other[s] * g.dim_in, *matrix = chunk.unit.matrix.slot(s);
    // w goes to the side with fewer components.
    if constexpr (Diagonal) {
      EQUIPOT_UNROLL for (int m = 0; m < D1; ++m)
        EQUIPOT_UNROLL for (int u = 0; u < U; ++u) acc[m][u] += w[u] * columns.read(x_j + m * mul, u);
    } else if constexpr (D1 <= D3) {
      EQUIPOT_UNROLL for (int m1 = 0; m1 < D1; ++m1) {
        V wx[U];
        EQUIPOT_UNROLL for (int u = 0; u < U; ++u) wx[u] = w[u] * columns.read(x_j + m1 * mul, u);
        EQUIPOT_UNROLL for (int m3 = 0; m3 < D3; ++m3)
          EQUIPOT_UNROLL for (int u = 0; u < U; ++u) acc[m3][u] += matrix[(m3 * D1 + m1) * step<C>] * wx[u];
      }
    } else {
      V sum[D3][U];
      EQUIPOT_UNROLL for (int m1 = 0; m1 < D1; ++m1) {
        V x_m[U];
        EQUIPOT_UNROLL for (int u = 0; u < U; ++u) x_m[u] = columns.read(x_j + m1 * mul, u);
        EQUIPOT_UNROLL for (int m3 = 0; m3 < D3; ++m3)
          EQUIPOT_UNROLL for (int u = 0; u < U; ++u) {
            const V product = matrix[(m3 * D1 + m1) * step<C>] * x_m[u];
            sum[m3][u] = m1 == 0 ? product : sum[m3][u] + product;
          }
      }
      EQUIPOT_UNROLL for (int m3 = 0; m3 < D3; ++m3)
        EQUIPOT_UNROLL for (int u = 0; u < U; ++u) acc[m3][u] += w[u] * sum[m3][u];
    }
  }
  auto *to = work.out + i * g.dim_out + path.out_start + c;
  EQUIPOT_UNROLL for (int m = 0; m < D3; ++m)
    EQUIPOT_UNROLL for (int u = 0; u < U; ++u) {
      if constexpr (Diagonal) acc[m][u] *= static_cast<typename C::T>(path.scale);
      columns.write(to + m * path.out_stride, u, acc[m][u]);
    }
}

template <class T, int D1, int D3, bool Diagonal> void forward_path(const Work<T> &work)
{
  if constexpr (!Diagonal) work.chunk.build(work.path, work.chunk.unit);
  constexpr int U = vectors_together(D3 + 1);
  over_channels<T, U>(work.path.mul, [&](const auto &columns, int64_t c) EQUIPOT_INLINE_LAMBDA {
    for (int64_t i = work.chunk.first_atom; i < work.chunk.last_atom; ++i)
      forward_columns<std::decay_t<decltype(columns)>, D1, D3, Diagonal>(columns, work, i, c);
  });
}

// y[m1] = sum over m3 of M[m3, m1] g[m3] for R rows m1 from `first`, where M is a matrix of an edge.
template <class C, int D1, int D3, int R>
EQUIPOT_INLINE void transposed_rows(const C &columns, typename C::V (*y)[C::U], const typename C::T *matrix,
                                    const typename C::T *g, int64_t g_stride, int first)
{
  EQUIPOT_UNROLL for (int m3 = 0; m3 < D3; ++m3) {
    typename C::V g_m[C::U];
    EQUIPOT_UNROLL for (int u = 0; u < C::U; ++u) g_m[u] = columns.read(g + m3 * g_stride, u);
    EQUIPOT_UNROLL for (int r = 0; r < R; ++r)
      EQUIPOT_UNROLL for (int u = 0; u < C::U; ++u) {
        const typename C::V product = matrix[(m3 * D1 + first + r) * step<C>] * g_m[u];
        y[r][u] = m3 == 0 ? product : y[r][u] + product;
      }
  }
}

// How many rows m1 of an edge are summed at once, if each of them needs `kinds` sums of U vectors in registers.
template <int D1, int U, int kinds> constexpr int rows_together()
{
  constexpr int fit = (n_registers - 2 * U - 4) / (U * kinds);
  constexpr int groups = (D1 + fit - 1) / (fit > 0 ? fit : 1);
  return (D1 + groups - 1) / groups;
}

// body(number of rows, first row) for all rows, at most R at once.
template <int D1, int R, int First = 0, class Body> EQUIPOT_INLINE void over_row_groups(Body &&body)
{
  constexpr int rows = D1 - First < R ? D1 - First : R;
  body(std::integral_constant<int, rows>(), First);
  if constexpr (First + rows < D1) over_row_groups<D1, R, First + rows>(body);
}

// What is known of an edge of neighbour j while its channels are added up.
template <class T> struct EdgeOf {
  int slot;
  const T *x, *row, *grad;
  T *dx;    // null where it is not wanted
};

// body(edge) for all edges of a chunk.
template <class T, class Body> EQUIPOT_INLINE void over_edges(const Work<T> &work, Body &&body)
{
  const Chunk<T> &chunk = work.chunk;
  const Path &path = work.path;
  const equipot_convolution &given = work.given();
  for (int64_t j = chunk.first_atom; j < chunk.last_atom; ++j) {
    const T *x = work.x + j * given.dim_in + path.x_start;
    T *dx = work.need_x ? work.dx + j * given.dim_in + path.x_start : nullptr;
    for (int s = chunk.begin(j), last = chunk.end(j); s < last; ++s)
      body(EdgeOf<T>{s, x, chunk.row[s] + path.weight_start,
                     work.grad + chunk.other[s] * given.dim_out + path.out_start, dx});
  }
}

// Adds `sum` to channels in memory.
template <class C> EQUIPOT_INLINE void add_to(const C &columns, typename C::T *to, int u, typename C::V sum)
{
  columns.write(to, u, columns.read(to, u) + sum);
}

// Sums over channels of a[m3] b[m1], some rows m3 at a time, into (m3, m1).
template <class T, int D1, int D3, int First = 0>
EQUIPOT_INLINE void outer_product(const T *a, int64_t a_stride, const T *b, int64_t b_stride, int64_t mul, T *to)
{
  constexpr int fit = (n_registers - 3) / (D1 + 1) > 1 ? (n_registers - 3) / (D1 + 1) : 1;
  constexpr int groups = (D3 + fit - 1) / fit, most = (D3 + groups - 1) / groups;
  constexpr int rows = D3 - First < most ? D3 - First : most;
  Vec<T> sum[rows * D1] = {};
  over_channels<T, 1, false>(mul, [&](const auto &columns, int64_t c) EQUIPOT_INLINE_LAMBDA {
    Vec<T> a_m[rows];
    EQUIPOT_UNROLL for (int m3 = 0; m3 < rows; ++m3) a_m[m3] = columns.read(a + (First + m3) * a_stride + c, 0);
    EQUIPOT_UNROLL for (int m1 = 0; m1 < D1; ++m1) {
      const Vec<T> b_m = columns.read(b + m1 * b_stride + c, 0);
      EQUIPOT_UNROLL for (int m3 = 0; m3 < rows; ++m3) sum[m3 * D1 + m1] += a_m[m3] * b_m;
    }
  });
  // The zeros behind the sums are overwritten by the next rows.
  store_lane_sums<T, rows * D1>(to + First * D1, sum);
  if constexpr (First + rows < D3) outer_product<T, D1, D3, First + rows>(a, a_stride, b, b_stride, mul, to);
}

// Whether dS/dP of an edge is summed in registers along with the rest; otherwise in a pass of its own.
template <int D1, int D3, int U> constexpr bool in_one_pass = D1 * D3 + 2 * U * D1 + 3 * U + 1 <= n_registers;

// dS/dx and, into the chunk, dS/dr and dS/dP, from y = Pᵀ g of each edge: dS/dx = w y, dS/dr = w' y · x and
// dS/dP = w g ⊗ x. scaled: memory for w times the shorter one of g and x.
template <class T, int D1, int D3, bool Diagonal> void backward_vectors_path(const Work<T> &work, T *scaled)
{
  Chunk<T> &chunk = work.chunk;
  const Path &path = work.path;
  const int64_t channels = path.mul, n_weights = work.given().n_weights;
  const int order = static_cast<int>(work.given().order);
  const T scale = static_cast<T>(path.scale);
  constexpr bool one_pass = !Diagonal && in_one_pass<D1, D3, 1>, two_passes = !Diagonal && !one_pass;
  constexpr int U = one_pass && !in_one_pass<D1, D3, 2> ? 1 : 2;
  if constexpr (!Diagonal) chunk.build(path, chunk.unit);
  over_edges(work, [&](const EdgeOf<T> &edge) EQUIPOT_INLINE_LAMBDA {
    const int s = edge.slot;
    Vec<T> radial = chunk.radial_gradient[s], outer[one_pass ? D3 * D1 : 1] = {};
    constexpr bool halves = has_half_vectors && !one_pass;
    over_channels<T, U, halves>(channels, [&](const auto &columns, int64_t c) EQUIPOT_INLINE_LAMBDA {
      using C = std::decay_t<decltype(columns)>;
      using V = typename C::V;
      constexpr int U = C::U;
      const int64_t mul = opaque(channels), out_stride = opaque(path.out_stride);
      asm("" ::: "memory");    // the same for pointers and sizes that lie in memory
      V w[U], w1[U], product[U] = {};
      interpolate_both(columns, w, w1, chunk.value.slot(s), chunk.slope.slot(s), edge.row + c, n_weights, order);
      const T *grad = edge.grad + c;
      over_row_groups<D1, one_pass ? D1 : rows_together<D1, U, 1>()>([&](auto rows, int first) EQUIPOT_INLINE_LAMBDA {
        constexpr int R = decltype(rows)::value;
        V y[R][U], x[R][U];
        EQUIPOT_UNROLL for (int r = 0; r < R; ++r)
          EQUIPOT_UNROLL for (int u = 0; u < U; ++u) x[r][u] = columns.read(edge.x + c + (first + r) * mul, u);
        if constexpr (Diagonal) {
          EQUIPOT_UNROLL for (int r = 0; r < R; ++r)
            EQUIPOT_UNROLL for (int u = 0; u < U; ++u)
              y[r][u] = scale * columns.read(grad + (first + r) * out_stride, u);
        } else if constexpr (one_pass) {
          const T *matrix = chunk.unit.matrix.slot(s);
          EQUIPOT_UNROLL for (int m3 = 0; m3 < D3; ++m3)
            EQUIPOT_UNROLL for (int u = 0; u < U; ++u) {
              const V g = columns.read(grad + m3 * out_stride, u), wg = w[u] * g;
              EQUIPOT_UNROLL for (int m1 = 0; m1 < D1; ++m1) {
                const V part = matrix[(m3 * D1 + m1) * step<C>] * g;
                y[m1][u] = m3 == 0 ? part : y[m1][u] + part;
                outer[m3 * D1 + m1] += wg * x[m1][u];
              }
            }
        } else {
          transposed_rows<C, D1, D3, R>(columns, y, chunk.unit.matrix.slot(s), grad, out_stride, first);
        }
        EQUIPOT_UNROLL for (int r = 0; r < R; ++r)
          EQUIPOT_UNROLL for (int u = 0; u < U; ++u) {
            const int64_t at = c + (first + r) * mul;
            product[u] += y[r][u] * x[r][u];
            if constexpr (two_passes && D1 <= D3) columns.write(scaled + at, u, w[u] * x[r][u]);
            if (edge.dx) add_to(columns, edge.dx + at, u, w[u] * y[r][u]);
          }
      });
      if constexpr (two_passes && D1 > D3)
        EQUIPOT_UNROLL for (int m3 = 0; m3 < D3; ++m3)
          EQUIPOT_UNROLL for (int u = 0; u < U; ++u)
            columns.write(scaled + c + m3 * mul, u, w[u] * columns.read(grad + m3 * out_stride, u));
      EQUIPOT_UNROLL for (int u = 0; u < U; ++u) product[u] *= w1[u];
      radial += C::sum(product);
    });
    chunk.radial_gradient[s] = radial;
    if constexpr (!Diagonal) {
      T *to = chunk.entry_gradient + s % lanes<T> * Chunk<T>::entry_stride;
      if constexpr (one_pass) store_lane_sums<T, D3 * D1>(to, outer);
      else if constexpr (D1 <= D3) outer_product<T, D1, D3>(edge.grad, path.out_stride, scaled, channels, channels, to);
      else outer_product<T, D1, D3>(scaled, channels, edge.x, channels, channels, to);
      if ((s + 1) % lanes<T> == 0 || s + 1 == chunk.n) chunk.collect(path, s / lanes<T>);
    }
  });
}

// Adds the gradient of a radial weight to the rows of the table from which it was interpolated.
template <class C>
EQUIPOT_INLINE void add_to_table(const C &columns, typename C::T *row, int64_t row_size, int order,
                                 const typename C::T *coefficient, const typename C::V *gradient)
{
  auto add = [&](int k) EQUIPOT_INLINE_LAMBDA {
    EQUIPOT_UNROLL for (int u = 0; u < C::U; ++u)
      add_to(columns, row + k * row_size, u, coefficient[k * step<C>] * gradient[u]);
  };
  EQUIPOT_UNROLL for (int k = 0; k < 4; ++k) add(k);
  if (order == 3) EQUIPOT_UNROLL for (int k = 4; k < 6; ++k) add(k);
}

// The same through the weight and its slope.
template <class C>
EQUIPOT_INLINE void add_to_table(const C &columns, typename C::T *row, int64_t row_size, int order,
                                 const typename C::T *value, const typename C::T *slope, const typename C::V *by_value,
                                 const typename C::V *by_slope)
{
  auto add = [&](int k) EQUIPOT_INLINE_LAMBDA {
    EQUIPOT_UNROLL for (int u = 0; u < C::U; ++u)
      add_to(columns, row + k * row_size, u, value[k * step<C>] * by_value[u] + slope[k * step<C>] * by_slope[u]);
  };
  EQUIPOT_UNROLL for (int k = 0; k < 4; ++k) add(k);
  if (order == 3) EQUIPOT_UNROLL for (int k = 4; k < 6; ++k) add(k);
}

// dS/dx, and dS/dtable added where it is wanted.
template <class T, int D1, int D3, bool Diagonal> void backward_table_path(const Work<T> &work)
{
  Chunk<T> &chunk = work.chunk;
  const Path &path = work.path;
  const equipot_convolution &given = work.given();
  const int order = static_cast<int>(given.order);
  const int64_t mul = path.mul, n_weights = given.n_weights;
  const T scale = static_cast<T>(path.scale);
  T *const table = work.dtable ? work.dtable + path.weight_start : nullptr;
  if constexpr (!Diagonal) chunk.build(path, chunk.unit);
  over_edges(work, [&](const EdgeOf<T> &edge) EQUIPOT_INLINE_LAMBDA {
    const int s = edge.slot;
    over_channels<T, 1>(mul, [&](const auto &columns, int64_t c) EQUIPOT_INLINE_LAMBDA {
      using C = std::decay_t<decltype(columns)>;
      using V = typename C::V;
      V w[1] = {}, product{};
      if (edge.dx) interpolate(columns, w, chunk.value.slot(s), edge.row + c, n_weights, order);
      over_row_groups<D1, rows_together<D1, 1, 1>()>([&](auto rows, int first) EQUIPOT_INLINE_LAMBDA {
        constexpr int R = decltype(rows)::value;
        V y[R][1];
        if constexpr (Diagonal)
          EQUIPOT_UNROLL for (int r = 0; r < R; ++r)
            y[r][0] = scale * columns.read(edge.grad + c + (first + r) * path.out_stride, 0);
        else
          transposed_rows<C, D1, D3, R>(columns, y, chunk.unit.matrix.slot(s), edge.grad + c, path.out_stride, first);
        EQUIPOT_UNROLL for (int r = 0; r < R; ++r) {
          const int64_t at = c + (first + r) * mul;
          product += y[r][0] * columns.read(edge.x + at, 0);
          if (edge.dx) add_to(columns, edge.dx + at, 0, w[0] * y[r][0]);
        }
      });
      if (table)
        add_to_table(columns, table + chunk.table_offset(s) + c, n_weights, order, chunk.value.slot(s), &product);
    });
  });
}

}    // namespace EQUIPOT_ISA_NAME
}    // namespace equipot
