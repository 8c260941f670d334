// What every kernel needs of a few hundred edges: directions, interpolation coefficients, matrices P. It stays in the
// cache while path after path runs over it. Edges stand side by side ("slots"), vectors run over slots here.
#pragma once

#include "monomials.h"
#include "problem.h"
#include "simd.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <new>

namespace equipot {
namespace EQUIPOT_ISA_NAME {

constexpr int chunk_edges = 256;

// Memory aligned to whole cache lines that only grows.
template <class T> class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch &) = delete;
  Scratch &operator=(const Scratch &) = delete;
  ~Scratch() { std::free(data); }

  T *reserve(std::size_t n)
  {
    if (n > size) {
      std::free(data);
      data = nullptr;
      size = 0;
      void *fresh = nullptr;
      if (posix_memalign(&fresh, 64, n * sizeof(T)) != 0) throw std::bad_alloc();
      data = static_cast<T *>(fresh);
      size = n;
    }
    return data;
  }

 private:
  T *data = nullptr;
  std::size_t size = 0;
};

// Whose edges stand together: those of a centre (forward), or those that lead to a neighbour (backward).
enum class Side { centre, neighbour };

template <class T> struct Chunk {
  static constexpr int max_entries = (2 * EQUIPOT_L_MAX + 1) * (2 * EQUIPOT_L_MAX + 1);
  // Whole vectors are stored where the last entries may be few.
  static constexpr int entry_stride = (max_entries / lanes<T> + 2) * lanes<T>;

  const Problem *problem = nullptr;
  Side side = Side::centre;
  int64_t first_atom = 0, last_atom = 0, first_slot = 0;    // atoms of this chunk and where their edges begin
  const int64_t *rowptr = nullptr;
  int n = 0;         // slots in use
  int stride = 0;    // slots from one row to the next; the rows beyond n hold zeros

  int64_t *edge = nullptr, *other = nullptr;    // edge number; the atom at its other end
  const T **row = nullptr;                      // the table's row at the knot below
  T *value = nullptr, *slope = nullptr, *curvature = nullptr;    // (6, stride) interpolation of w, dw/dr, d²w/dr²
  T *unit = nullptr;          // (3, stride)
  T *inverse_r = nullptr;     // (stride)
  T *monomial = nullptr;      // (all_monomials, stride)
  T *matrix = nullptr;        // (entries, stride) of the present path
  T *delta_r = nullptr;       // (stride) change of r, of the monomials, of the matrix along a given av
  T *delta_unit = nullptr;    // (3, stride)
  T *delta_monomial = nullptr;
  T *delta_matrix = nullptr;
  T *gradient = nullptr;             // (entries, stride) dS/dP of the present path
  T *slot_gradient = nullptr;        // the same as it arises, (stride, entry_stride)
  T *monomial_gradient = nullptr;    // (all_monomials, stride)
  Vec<T> *radial_gradient = nullptr;    // (stride) dS/dr, lanes not yet added

  int begin(int64_t atom) const { return static_cast<int>(rowptr[atom] - first_slot); }
  int end(int64_t atom) const { return static_cast<int>(rowptr[atom + 1] - first_slot); }

  void place(const Problem &p, Side s, int64_t first, int64_t last)
  {
    problem = &p;
    side = s;
    first_atom = first;
    last_atom = last;
    rowptr = s == Side::centre ? p.given.rowptr : p.given.transpose_rowptr;
    first_slot = rowptr[first];
    n = static_cast<int>(rowptr[last] - first_slot);
    // An odd number of cache lines from row to row, so that the rows of one column fall into different cache sets.
    constexpr int per_line = 64 / static_cast<int>(sizeof(T));
    stride = (((n + per_line - 1) / per_line) | 1) * per_line;
    const std::size_t st = static_cast<std::size_t>(stride);
    const std::size_t rows = 3 + 1 + all_monomials + max_entries + 1 + 3 + all_monomials + max_entries +
                             entry_stride + all_monomials + entry_stride;
    T *next = numbers.reserve(st * (rows + 18));
    auto take = [&next, st](int count) { T *p = next; next += st * count; return p; };
    unit = take(3);
    inverse_r = take(1);
    monomial = take(all_monomials);
    matrix = take(max_entries);
    delta_r = take(1);
    delta_unit = take(3);
    delta_monomial = take(all_monomials);
    delta_matrix = take(max_entries);
    gradient = take(entry_stride);
    slot_gradient = take(entry_stride);
    monomial_gradient = take(all_monomials);
    value = take(6);
    slope = take(6);
    curvature = take(6);
    edge = integers.reserve(2 * st);
    other = edge + st;
    row = pointers.reserve(st);
    radial_gradient = vectors.reserve(st);
    geometry();
  }

  void geometry()
  {
    const equipot_convolution &g = problem->given;
    const T *vectors_of_edges = static_cast<const T *>(g.edge_vectors);
    const T *cutoff = static_cast<const T *>(g.inverse_cutoff), *table = static_cast<const T *>(g.table);
    T *x = unit, *y = unit + stride, *z = unit + 2 * stride, *per_length = delta_r, *t = delta_monomial;
    for (int s = 0; s < n; ++s) {
      const int64_t e = side == Side::centre ? first_slot + s : g.transpose_edges[first_slot + s];
      edge[s] = e;
      other[s] = side == Side::centre ? g.neighbour[e] : g.centre[e];
      const T *v = vectors_of_edges + 3 * e;
      x[s] = v[0], y[s] = v[1], z[s] = v[2];
      per_length[s] = cutoff[g.cutoff_per_edge ? e : 0];
    }
    for (int s = n; s < stride; ++s) x[s] = per_length[s] = 1, y[s] = z[s] = 0;
    const T intervals = static_cast<T>(g.n_knots - 1 - (g.doubled_knot > 0)), last = intervals - 1, h = 1 / intervals;
    T *scale = t + stride, *knot = t + 2 * stride;
    for (int s = 0; s < stride; ++s) {
      const T r = std::sqrt(x[s] * x[s] + y[s] * y[s] + z[s] * z[s]), inverse = 1 / r;
      x[s] *= inverse, y[s] *= inverse, z[s] *= inverse;
      inverse_r[s] = inverse;
      const T u = r * per_length[s];
      const T position = (u < 1 ? u : T(1)) * intervals;
      const T below = std::floor(position), left = below < last ? below : last;
      knot[s] = left;
      t[s] = position - left;
      scale[s] = u <= 1 ? intervals * per_length[s] : T(0);
    }
    const T first_behind = g.doubled_knot > 0 ? static_cast<T>(g.doubled_knot) : intervals;
    for (int s = 0; s < n; ++s)
      row[s] = table + static_cast<int64_t>(knot[s] + (knot[s] >= first_behind)) * g.order * g.n_weights;
    interpolate(t, h, scale, static_cast<int>(g.order));
    for (int s = 0; s < stride; ++s) monomial[s] = 1;
    for (int k = 1; k < first_monomial(problem->l_max + 1); ++k)
      rows_product(monomial + k * stride, monomial + monomials[k].parent * stride, unit + monomials[k].factor * stride);
  }

  // Hermite polynomials at t and their derivatives with respect to r; knots are h apart in u, dt/dr = scale.
  void interpolate(const T *at, T h, const T *scales, int order)
  {
    const int st = stride;
    T *f = value, *d = slope, *c = curvature;
    for (int s = 0; s < st; ++s) {
      const T t = at[s], scale = scales[s], t2 = t * t, t3 = t2 * t, square = scale * scale;
      if (order == 2) {
        const T rise = 3 * t2 - 2 * t3, rise1 = (6 * t - 6 * t2) * scale, rise2 = (6 - 12 * t) * square;
        f[s] = 1 - rise, f[st + s] = (t3 - 2 * t2 + t) * h;
        f[2 * st + s] = rise, f[3 * st + s] = (t3 - t2) * h;
        d[s] = -rise1, d[st + s] = (3 * t2 - 4 * t + 1) * h * scale;
        d[2 * st + s] = rise1, d[3 * st + s] = (3 * t2 - 2 * t) * h * scale;
        c[s] = -rise2, c[st + s] = (6 * t - 4) * h * square;
        c[2 * st + s] = rise2, c[3 * st + s] = (6 * t - 2) * h * square;
      } else {
        const T t4 = t2 * t2, t5 = t4 * t, q = h * h / 2;
        const T rise = 10 * t3 - 15 * t4 + 6 * t5, rise1 = (30 * t2 - 60 * t3 + 30 * t4) * scale;
        const T rise2 = (60 * t - 180 * t2 + 120 * t3) * square;
        f[s] = 1 - rise, f[st + s] = (t - 6 * t3 + 8 * t4 - 3 * t5) * h;
        f[2 * st + s] = (t2 - 3 * t3 + 3 * t4 - t5) * q;
        f[3 * st + s] = rise, f[4 * st + s] = (7 * t4 - 4 * t3 - 3 * t5) * h;
        f[5 * st + s] = (t3 - 2 * t4 + t5) * q;
        d[s] = -rise1, d[st + s] = (1 - 18 * t2 + 32 * t3 - 15 * t4) * h * scale;
        d[2 * st + s] = (2 * t - 9 * t2 + 12 * t3 - 5 * t4) * q * scale;
        d[3 * st + s] = rise1, d[4 * st + s] = (28 * t3 - 12 * t2 - 15 * t4) * h * scale;
        d[5 * st + s] = (3 * t2 - 8 * t3 + 5 * t4) * q * scale;
        c[s] = -rise2, c[st + s] = (96 * t2 - 36 * t - 60 * t3) * h * square;
        c[2 * st + s] = (2 - 18 * t + 36 * t2 - 20 * t3) * q * square;
        c[3 * st + s] = rise2, c[4 * st + s] = (84 * t2 - 24 * t - 60 * t3) * h * square;
        c[5 * st + s] = (6 * t - 24 * t2 + 20 * t3) * q * square;
      }
    }
  }

  void rows_product(T *to, const T *a, const T *b) const
  {
    for (int s = 0; s < stride; s += lanes<T>) store(to + s, load(a + s) * load(b + s));
  }

  // P of the path for every slot, from the monomials or from their changes.
  void build(const Path &path, const T *from, T *to) const
  {
    for (int entry = 0; entry < path.entries(); ++entry) {
      const Term *first = path.terms.data() + path.first_term[entry];
      const Term *last = path.terms.data() + path.first_term[entry + 1];
      for (int s = 0; s < stride; s += lanes<T>) {
        Vec<T> sum{};
        for (const Term *t = first; t != last; ++t)
          sum += static_cast<T>(t->coefficient) * load(from + t->monomial * stride + s);
        store(to + entry * stride + s, sum);
      }
    }
  }

  // dS/dP from slot by slot to entry by entry.
  void turn(int entries) const
  {
    constexpr int L = lanes<T>;
    for (int s = 0; s < n; s += L)
      for (int entry = 0; entry < entries; entry += L) {
        Vec<T> rows[L];
        EQUIPOT_UNROLL for (int i = 0; i < L; ++i) rows[i] = load(slot_gradient + (s + i) * entry_stride + entry);
        transpose<T>(rows);
        EQUIPOT_UNROLL for (int i = 0; i < L; ++i) store(gradient + (entry + i) * stride + s, rows[i]);
      }
  }

  // The other way: from dS/dP to dS/d(monomial), added.
  void contract(const Path &path, const T *from, T *to) const
  {
    for (int entry = 0; entry < path.entries(); ++entry)
      for (int k = path.first_term[entry]; k < path.first_term[entry + 1]; ++k) {
        T *row_to = to + path.terms[k].monomial * stride;
        const T coefficient = static_cast<T>(path.terms[k].coefficient);
        for (int s = 0; s < stride; s += lanes<T>)
          store(row_to + s, load(row_to + s) + coefficient * load(from + entry * stride + s));
      }
  }

  // Change of r and of the unit vector when the edges move along av, and of the monomials with it.
  void change_along(const T *av)
  {
    for (int s = 0; s < n; ++s) {
      const T *a = av ? av + 3 * edge[s] : nullptr;
      T along = 0;
      for (int k = 0; k < 3 && a; ++k) along += a[k] * unit[k * stride + s];
      delta_r[s] = along;
      for (int k = 0; k < 3; ++k)
        delta_unit[k * stride + s] = a ? (a[k] - unit[k * stride + s] * along) * inverse_r[s] : T(0);
    }
    for (int s = n; s < stride; ++s) delta_r[s] = delta_unit[s] = delta_unit[stride + s] = delta_unit[2 * stride + s] = 0;
    for (int s = 0; s < stride; ++s) delta_monomial[s] = 0;
    for (int k = 1; k < first_monomial(problem->l_max + 1); ++k)
      for (int s = 0; s < stride; s += lanes<T>) {
        Vec<T> sum{};
        for (int a = 0; a < 3; ++a)
          if (monomials[k].power[a] > 0)
            sum += static_cast<T>(monomials[k].power[a]) * load(monomial + monomials[k].lower[a] * stride + s) *
                   load(delta_unit + a * stride + s);
        store(delta_monomial + k * stride + s, sum);
      }
  }

  // dS/dv from dS/dr and dS/d(monomial), of every slot's edge.
  void edge_gradient(T *to)
  {
    for (int s = 0; s < stride; s += lanes<T>) {
      Vec<T> slopes[3] = {};
      for (int k = 1; k < first_monomial(problem->l_max + 1); ++k) {
        const Vec<T> g = load(monomial_gradient + k * stride + s);
        for (int a = 0; a < 3; ++a)
          if (monomials[k].power[a] > 0)
            slopes[a] += static_cast<T>(monomials[k].power[a]) * g * load(monomial + monomials[k].lower[a] * stride + s);
      }
      Vec<T> along{};
      for (int a = 0; a < 3; ++a) along += slopes[a] * load(unit + a * stride + s);
      for (int a = 0; a < 3; ++a)
        store(delta_unit + a * stride + s,
              (slopes[a] - load(unit + a * stride + s) * along) * load(inverse_r + s));
    }
    for (int s = 0; s < n; ++s) {
      const T radial = lane_sum<T>(radial_gradient[s]);
      for (int a = 0; a < 3; ++a) to[3 * edge[s] + a] = delta_unit[a * stride + s] + unit[a * stride + s] * radial;
    }
  }

 private:
  Scratch<T> numbers;
  Scratch<int64_t> integers;
  Scratch<const T *> pointers;
  Scratch<Vec<T>> vectors;
};

}    // namespace EQUIPOT_ISA_NAME
}    // namespace equipot
