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

// Channels c … c + U vectors of one row; the last vector may be partial (then U is 1 and n counts its channels).
template <class T, int U> EQUIPOT_INLINE void read_row(Vec<T> *to, const T *from, int n)
{
  if constexpr (U == 1) to[0] = load(from, n);
  else EQUIPOT_UNROLL for (int u = 0; u < U; ++u) to[u] = load(from + u * lanes<T>);
}

template <class T, int U> EQUIPOT_INLINE void write_row(T *to, const Vec<T> *from, int n)
{
  if constexpr (U == 1) store(to, from[0], n);
  else EQUIPOT_UNROLL for (int u = 0; u < U; ++u) store(to + u * lanes<T>, from[u]);
}

// Radial weights of one edge: rows of the table times interpolation coefficients.
template <class T, int U>
EQUIPOT_INLINE void interpolate(Vec<T> *w, const T *coefficient, int stride, const T *row, int64_t row_size, int order, int n)
{
  Vec<T> part[U];
  read_row<T, U>(part, row, n);
  EQUIPOT_UNROLL for (int u = 0; u < U; ++u) w[u] = coefficient[0] * part[u];
  EQUIPOT_UNROLL for (int k = 1; k < 4; ++k) {
    read_row<T, U>(part, row + k * row_size, n);
    EQUIPOT_UNROLL for (int u = 0; u < U; ++u) w[u] += coefficient[k * stride] * part[u];
  }
  if (order == 3) {
    EQUIPOT_UNROLL for (int k = 4; k < 6; ++k) {
      read_row<T, U>(part, row + k * row_size, n);
      EQUIPOT_UNROLL for (int u = 0; u < U; ++u) w[u] += coefficient[k * stride] * part[u];
    }
  }
}

// The same with the derivative, reading the rows once.
template <class T, int U>
EQUIPOT_INLINE void interpolate_both(Vec<T> *w, Vec<T> *w1, const T *value, const T *slope, int stride, const T *row,
                                     int64_t row_size, int order, int n)
{
  Vec<T> part[U];
  read_row<T, U>(part, row, n);
  EQUIPOT_UNROLL for (int u = 0; u < U; ++u) {
    w[u] = value[0] * part[u];
    w1[u] = slope[0] * part[u];
  }
  auto add = [&](int k) {
    read_row<T, U>(part, row + k * row_size, n);
    EQUIPOT_UNROLL for (int u = 0; u < U; ++u) {
      w[u] += value[k * stride] * part[u];
      w1[u] += slope[k * stride] * part[u];
    }
  };
  EQUIPOT_UNROLL for (int k = 1; k < 4; ++k) add(k);
  if (order == 3) EQUIPOT_UNROLL for (int k = 4; k < 6; ++k) add(k);
}

// acc[m3] += sum over m1 of P[m3, m1] (w x[m1]); w goes to the side with fewer components.
template <class T, int D1, int D3, int U>
EQUIPOT_INLINE void apply(Vec<T> (*acc)[U], const T *matrix, int stride, const Vec<T> *w, const Vec<T> (*x)[U])
{
  if constexpr (D1 <= D3) {
    EQUIPOT_UNROLL for (int m1 = 0; m1 < D1; ++m1) {
      Vec<T> wx[U];
      EQUIPOT_UNROLL for (int u = 0; u < U; ++u) wx[u] = w[u] * x[m1][u];
      EQUIPOT_UNROLL for (int m3 = 0; m3 < D3; ++m3)
        EQUIPOT_UNROLL for (int u = 0; u < U; ++u) acc[m3][u] += matrix[(m3 * D1 + m1) * stride] * wx[u];
    }
  } else {
    EQUIPOT_UNROLL for (int m3 = 0; m3 < D3; ++m3) {
      Vec<T> sum[U];
      EQUIPOT_UNROLL for (int u = 0; u < U; ++u) sum[u] = matrix[m3 * D1 * stride] * x[0][u];
      EQUIPOT_UNROLL for (int m1 = 1; m1 < D1; ++m1)
        EQUIPOT_UNROLL for (int u = 0; u < U; ++u) sum[u] += matrix[(m3 * D1 + m1) * stride] * x[m1][u];
      EQUIPOT_UNROLL for (int u = 0; u < U; ++u) acc[m3][u] += w[u] * sum[u];
    }
  }
}

// y[m1] = sum over m3 of P[m3, m1] g[m3], for an edge whose g lies at `g`.
template <class T, int D1, int D3, bool Diagonal>
EQUIPOT_INLINE void apply_transposed(Vec<T> *y, const T *matrix, int stride, T scale, const Vec<T> *g)
{
  if constexpr (Diagonal) {
    EQUIPOT_UNROLL for (int m = 0; m < D1; ++m) y[m] = scale * g[m];
  } else {
    EQUIPOT_UNROLL for (int m1 = 0; m1 < D1; ++m1) y[m1] = matrix[m1 * stride] * g[0];
    EQUIPOT_UNROLL for (int m3 = 1; m3 < D3; ++m3)
      EQUIPOT_UNROLL for (int m1 = 0; m1 < D1; ++m1) y[m1] += matrix[(m3 * D1 + m1) * stride] * g[m3];
  }
}

// Two vectors of channels at a time where the registers hold them.
template <class T, int D1, int D3> constexpr int wide = 2 * (D1 + D3) + 6 <= n_registers ? 2 : 1;

template <class T, int D1, int D3, bool Diagonal, int U> void forward_channels(const Work<T> &work, int64_t c, int n)
{
  const Chunk<T> &chunk = work.chunk;
  const Path &path = work.path;
  const equipot_convolution &g = work.given();
  const int stride = chunk.stride, order = static_cast<int>(g.order);
  const T *x = work.x + path.x_start + c;
  const int64_t weight = path.weight_start + c, mul = path.mul;
  for (int64_t i = chunk.first_atom; i < chunk.last_atom; ++i) {
    Vec<T> acc[D3][U] = {};
    for (int s = chunk.begin(i), last = chunk.end(i); s < last; ++s) {
      Vec<T> w[U], x_j[D1][U];
      interpolate<T, U>(w, chunk.value + s, stride, chunk.row[s] + weight, g.n_weights, order, n);
      const T *from = x + chunk.other[s] * g.dim_in;
      EQUIPOT_UNROLL for (int m = 0; m < D1; ++m) read_row<T, U>(x_j[m], from + m * mul, n);
      if constexpr (Diagonal) {
        EQUIPOT_UNROLL for (int m = 0; m < D1; ++m)
          EQUIPOT_UNROLL for (int u = 0; u < U; ++u) acc[m][u] += w[u] * x_j[m][u];
      } else {
        apply<T, D1, D3, U>(acc, chunk.matrix + s, stride, w, x_j);
      }
    }
    T *to = work.out + i * g.dim_out + path.out_start + c;
    const T scale = Diagonal ? static_cast<T>(path.scale) : T(1);
    EQUIPOT_UNROLL for (int m = 0; m < D3; ++m) {
      if constexpr (Diagonal)
        EQUIPOT_UNROLL for (int u = 0; u < U; ++u) acc[m][u] *= scale;
      write_row<T, U>(to + m * path.out_stride, acc[m], n);
    }
  }
}

// Runs `channels<U>(c, n)` over all channels of a path, in pairs of vectors where U allows.
template <class T, int U, class Wide, class Narrow> EQUIPOT_INLINE void over_channels(int64_t mul, Wide &&two, Narrow &&one)
{
  constexpr int L = lanes<T>;
  int64_t c = 0;
  if constexpr (U == 2)
    for (; c + 2 * L <= mul; c += 2 * L) two(c);
  for (; c < mul; c += L) one(c, static_cast<int>(std::min<int64_t>(L, mul - c)));
}

template <class T, int D1, int D3, bool Diagonal> void forward_path(const Work<T> &work)
{
  if constexpr (!Diagonal) work.chunk.build(work.path, work.chunk.monomial, work.chunk.matrix);
  constexpr int U = wide<T, D1, D3>;
  over_channels<T, U>(
      work.path.mul, [&](int64_t c) { forward_channels<T, D1, D3, Diagonal, U>(work, c, lanes<T>); },
      [&](int64_t c, int n) { forward_channels<T, D1, D3, Diagonal, 1>(work, c, n); });
}

// Sums over channels of a[m3] b[m1], a few rows m3 at a time.
template <class T, int D1, int D3, int First> EQUIPOT_INLINE void outer_product(const T *b, const T *a, int64_t mul, T *to)
{
  constexpr int fit = (n_registers - D1 - 3) / D1 > 1 ? (n_registers - D1 - 3) / D1 : 1;
  constexpr int rows = D3 - First < fit ? D3 - First : fit;
  Vec<T> sum[rows * D1] = {};
  for (int64_t c = 0; c < mul; c += lanes<T>) {
    const int n = static_cast<int>(std::min<int64_t>(lanes<T>, mul - c));
    Vec<T> b_m[D1];
    EQUIPOT_UNROLL for (int m = 0; m < D1; ++m) b_m[m] = load(b + c + m * mul, n);
    EQUIPOT_UNROLL for (int m3 = 0; m3 < rows; ++m3) {
      const Vec<T> a_m = load(a + (First + m3) * mul + c, n);
      EQUIPOT_UNROLL for (int m1 = 0; m1 < D1; ++m1) sum[m3 * D1 + m1] += a_m * b_m[m1];
    }
  }
  // The zeros behind the sums are overwritten by the next rows.
  store_lane_sums<T, rows * D1>(to + First * D1, sum);
  if constexpr (First + rows < D3) outer_product<T, D1, D3, First + rows>(b, a, mul, to);
}

// How dS/dP is summed over channels: along with the rest where all sums fit into the registers, else in a loop of its
// own, which reads w g from `scaled` (D3, mul).
template <int D1, int D3, int U> constexpr bool fused = D1 * D3 + 2 * U * D1 + 3 * U + 1 <= n_registers;
template <int D1, int D3>
constexpr int backward_wide =
    D1 > 1 && (fused<D1, D3, 2> || (!fused<D1, D3, 1> && 2 * D1 + 8 <= n_registers)) ? 2 : 1;

// One edge, channels c … c + U vectors.
template <class T, int D1, int D3, bool Diagonal, int U, bool Fused>
EQUIPOT_INLINE void backward_edge(const Work<T> &work, int s, const T *x, T *dx, const T *grad, const T *row, int64_t c,
                                  int n, Vec<T> &radial, Vec<T> *outer, T *scaled)
{
  const Chunk<T> &chunk = work.chunk;
  const Path &path = work.path;
  const int stride = chunk.stride;
  const int64_t mul = path.mul;
  Vec<T> w[U], w1[U], y[D1][U] = {}, x_j[D1][U];
  interpolate_both<T, U>(w, w1, chunk.value + s, chunk.slope + s, stride, row + c, work.given().n_weights,
                         static_cast<int>(work.given().order), n);
  if constexpr (Fused)
    EQUIPOT_UNROLL for (int m = 0; m < D1; ++m) read_row<T, U>(x_j[m], x + c + m * mul, n);
  const T *matrix = chunk.matrix + s;
  EQUIPOT_UNROLL for (int m3 = 0; m3 < D3; ++m3) {
    Vec<T> g[U];
    read_row<T, U>(g, grad + c + m3 * path.out_stride, n);
    if constexpr (Diagonal) {
      EQUIPOT_UNROLL for (int u = 0; u < U; ++u) y[m3][u] = static_cast<T>(path.scale) * g[u];
    } else {
      EQUIPOT_UNROLL for (int m1 = 0; m1 < D1; ++m1)
        EQUIPOT_UNROLL for (int u = 0; u < U; ++u) y[m1][u] += matrix[(m3 * D1 + m1) * stride] * g[u];
      EQUIPOT_UNROLL for (int u = 0; u < U; ++u) g[u] *= w[u];
      if constexpr (Fused) {
        EQUIPOT_UNROLL for (int m1 = 0; m1 < D1; ++m1)
          EQUIPOT_UNROLL for (int u = 0; u < U; ++u) outer[m3 * D1 + m1] += g[u] * x_j[m1][u];
      } else {
        write_row<T, U>(scaled + m3 * mul + c, g, n);
      }
    }
  }
  Vec<T> product[U] = {};
  EQUIPOT_UNROLL for (int m = 0; m < D1; ++m) {
    if constexpr (!Fused) read_row<T, U>(x_j[m], x + c + m * mul, n);
    EQUIPOT_UNROLL for (int u = 0; u < U; ++u) product[u] += y[m][u] * x_j[m][u];
  }
  EQUIPOT_UNROLL for (int u = 0; u < U; ++u) radial += w1[u] * product[u];
  if (dx)
    EQUIPOT_UNROLL for (int m = 0; m < D1; ++m) {
      T *to = dx + c + m * mul;
      Vec<T> sum[U];
      read_row<T, U>(sum, to, n);
      EQUIPOT_UNROLL for (int u = 0; u < U; ++u) sum[u] += w[u] * y[m][u];
      write_row<T, U>(to, sum, n);
    }
}

// dS/dx and, into the chunk, dS/dr and dS/dP. The sums over channels run inside each edge, so that the lanes of dS/dP
// are added once per edge.
template <class T, int D1, int D3, bool Diagonal> void backward_vectors_path(const Work<T> &work, T *scaled)
{
  constexpr int L = lanes<T>, U = backward_wide<D1, D3>;
  Chunk<T> &chunk = work.chunk;
  const Path &path = work.path;
  const equipot_convolution &given = work.given();
  const int64_t mul = path.mul;
  constexpr bool in_registers = U == 2 ? fused<D1, D3, 2> : fused<D1, D3, 1>;
  if constexpr (!Diagonal) chunk.build(path, chunk.monomial, chunk.matrix);
  for (int64_t j = chunk.first_atom; j < chunk.last_atom; ++j) {
    const T *x = work.x + j * given.dim_in + path.x_start;
    T *dx = work.need_x ? work.dx + j * given.dim_in + path.x_start : nullptr;
    for (int s = chunk.begin(j), last = chunk.end(j); s < last; ++s) {
      const T *row = chunk.row[s] + path.weight_start;
      const T *grad = work.grad + chunk.other[s] * given.dim_out + path.out_start;
      Vec<T> radial = chunk.radial_gradient[s];
      Vec<T> outer[in_registers && !Diagonal ? D3 * D1 : 1] = {};
      int64_t c = 0;
      if constexpr (U == 2)
        for (; c + 2 * L <= mul; c += 2 * L)
          backward_edge<T, D1, D3, Diagonal, 2, in_registers>(work, s, x, dx, grad, row, c, 2 * L, radial, outer, scaled);
      for (; c < mul; c += L)
        backward_edge<T, D1, D3, Diagonal, 1, in_registers>(work, s, x, dx, grad, row, c,
                                              static_cast<int>(std::min<int64_t>(L, mul - c)), radial, outer, scaled);
      chunk.radial_gradient[s] = radial;
      if constexpr (!Diagonal) {
        T *to = chunk.slot_gradient + s * chunk.entry_stride;
        if constexpr (in_registers) store_lane_sums<T, D3 * D1>(to, outer);
        else outer_product<T, D1, D3, 0>(x, scaled, mul, to);
      }
    }
  }
  if constexpr (!Diagonal) {
    chunk.turn(D1 * D3);
    chunk.contract(path, chunk.gradient, chunk.monomial_gradient);
  }
}

// dS/dx, and dS/dtable added where it is wanted.
template <class T, int D1, int D3, bool Diagonal>
void backward_table_channels(const Work<T> &work, int64_t c, int n)
{
  Chunk<T> &chunk = work.chunk;
  const Path &path = work.path;
  const equipot_convolution &given = work.given();
  const int stride = chunk.stride, order = static_cast<int>(given.order);
  const int64_t mul = path.mul, weight = path.weight_start + c, n_weights = given.n_weights;
  const T scale = static_cast<T>(path.scale);
  const T *table = static_cast<const T *>(given.table);
  for (int64_t j = chunk.first_atom; j < chunk.last_atom; ++j) {
    Vec<T> x_j[D1], sum[D1] = {};
    const T *x = work.x + j * given.dim_in + path.x_start + c;
    EQUIPOT_UNROLL for (int m = 0; m < D1; ++m) x_j[m] = load(x + m * mul, n);
    for (int s = chunk.begin(j), last = chunk.end(j); s < last; ++s) {
      const T *grad = work.grad + chunk.other[s] * given.dim_out + path.out_start + c;
      Vec<T> g[D3], y[D1];
      EQUIPOT_UNROLL for (int m = 0; m < D3; ++m) g[m] = load(grad + m * path.out_stride, n);
      apply_transposed<T, D1, D3, Diagonal>(y, chunk.matrix + s, stride, scale, g);
      if (work.need_x) {
        Vec<T> w[1];
        interpolate<T, 1>(w, chunk.value + s, stride, chunk.row[s] + weight, n_weights, order, n);
        EQUIPOT_UNROLL for (int m = 0; m < D1; ++m) sum[m] += w[0] * y[m];
      }
      if (work.dtable) {
        Vec<T> product = y[0] * x_j[0];
        EQUIPOT_UNROLL for (int m = 1; m < D1; ++m) product += y[m] * x_j[m];
        T *to = work.dtable + (chunk.row[s] - table) + weight;
        for (int k = 0; k < 2 * order; ++k)
          store(to + k * n_weights, load(to + k * n_weights, n) + chunk.value[k * stride + s] * product, n);
      }
    }
    if (work.need_x) {
      T *dx = work.dx + j * given.dim_in + path.x_start + c;
      EQUIPOT_UNROLL for (int m = 0; m < D1; ++m) store(dx + m * mul, load(dx + m * mul, n) + sum[m], n);
    }
  }
}

template <class T, int D1, int D3, bool Diagonal> void backward_table_path(const Work<T> &work)
{
  if constexpr (!Diagonal) work.chunk.build(work.path, work.chunk.monomial, work.chunk.matrix);
  auto one = [&](int64_t c, int n) { backward_table_channels<T, D1, D3, Diagonal>(work, c, n); };
  over_channels<T, 1>(work.path.mul, [](int64_t) {}, one);
}

}    // namespace EQUIPOT_ISA_NAME
}    // namespace equipot
