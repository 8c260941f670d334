// What every kernel needs of a few hundred edges: directions, interpolation coefficients, matrices P. It stays in the
// cache while path after path runs over it. Edges stand side by side ("slots"), vectors run over slots here.
#pragma once

#include "monomials.h"
#include "problem.h"
#include "simd.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <initializer_list>
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

// `count` numbers of every slot. As many slots as a vector has lanes (L) form a group, and the numbers of a group stand
// together as (count, L): from one number of a slot to its next are always L places, which the compiler knows.
template <class T> struct SlotRows {
  static constexpr int L = lanes<T>;
  T *data = nullptr;
  int count = 0;

  T *group(int g) const { return data + static_cast<int64_t>(g) * count * L; }
  T *slot(int s) const { return group(s / L) + s % L; }
  T &at(int s, int k) const { return slot(s)[k * L]; }
};

// A direction of every slot, the monomials and the path's matrix P in this direction, or their derivatives along it.
template <class T> struct Direction {
  SlotRows<T> vector, monomial, matrix;
};

template <class T> struct Chunk {
  static constexpr int L = lanes<T>;
  static constexpr int max_entries = (2 * EQUIPOT_L_MAX + 1) * (2 * EQUIPOT_L_MAX + 1);
  // Whole vectors are stored where the last entries may be few.
  static constexpr int entry_stride = (max_entries / L + 2) * L;

  const Problem *problem = nullptr;
  Side side = Side::centre;
  int64_t first_atom = 0, last_atom = 0, first_slot = 0;    // atoms of this chunk and where their edges begin
  const int64_t *rowptr = nullptr;
  int n = 0;           // slots in use
  int n_groups = 0;    // of L slots; those beyond n belong to an edge of length 1

  int64_t *edge = nullptr, *other = nullptr;    // edge number; the atom at its other end
  const T **row = nullptr;                      // the table's row at the knot below
  SlotRows<T> value, slope, curvature;          // 6 coefficients each, for the interpolation of w, dw/dr, d²w/dr²
  SlotRows<T> inverse_r;
  Direction<T> unit;       // the unit vector; the monomials and P themselves
  SlotRows<T> delta_r;     // change of r along a given av
  Direction<T> delta;      // change of the unit vector along it
  T *entry_gradient = nullptr;          // (L, entry_stride) dS/dP of the present path for the slots of one group
  SlotRows<T> monomial_gradient;
  Vec<T> *radial_gradient = nullptr;    // dS/dr of every slot, lanes not yet added

  int begin(int64_t atom) const { return static_cast<int>(rowptr[atom] - first_slot); }
  int end(int64_t atom) const { return static_cast<int>(rowptr[atom + 1] - first_slot); }

  // Where the table's row of a slot begins.
  int64_t table_offset(int s) const { return row[s] - static_cast<const T *>(problem->given.table); }

  void place(const Problem &p, Side s, int64_t first, int64_t last)
  {
    problem = &p;
    side = s;
    first_atom = first;
    last_atom = last;
    rowptr = s == Side::centre ? p.given.rowptr : p.given.transpose_rowptr;
    first_slot = rowptr[first];
    n = static_cast<int>(rowptr[last] - first_slot);
    n_groups = (n + L - 1) / L;
    const std::size_t slots = static_cast<std::size_t>(n_groups) * L;
    constexpr std::size_t of_direction = 3 + all_monomials + max_entries;
    T *next = numbers.reserve(slots * (2 * of_direction + 2 + 18 + all_monomials) + L * entry_stride);
    auto take = [&next, slots](SlotRows<T> &rows, int count) {
      rows = {next, count};
      next += slots * static_cast<std::size_t>(count);
    };
    for (SlotRows<T> *rows : {&value, &slope, &curvature}) take(*rows, 6);
    for (SlotRows<T> *rows : {&inverse_r, &delta_r}) take(*rows, 1);
    for (Direction<T> *direction : {&unit, &delta}) {
      take(direction->vector, 3);
      take(direction->monomial, all_monomials);
      take(direction->matrix, max_entries);
    }
    take(monomial_gradient, all_monomials);
    entry_gradient = next;
    edge = integers.reserve(2 * slots);
    other = edge + slots;
    row = pointers.reserve(slots);
    radial_gradient = vectors.reserve(slots);
    geometry();
  }

  void geometry()
  {
    const equipot_convolution &given = problem->given;
    const T *vectors_of_edges = static_cast<const T *>(given.edge_vectors);
    const T *cutoff = static_cast<const T *>(given.inverse_cutoff), *table = static_cast<const T *>(given.table);
    const T intervals = static_cast<T>(given.n_knots - 1 - (given.doubled_knot > 0)), last = intervals - 1;
    const T first_behind = given.doubled_knot > 0 ? static_cast<T>(given.doubled_knot) : intervals;
    for (int g = 0; g < n_groups; ++g) {
      T *const direction = unit.vector.group(g), *const inverse = inverse_r.group(g);
      T per_length[L], t[L], scale[L], knot[L];
      for (int lane = 0; lane < L; ++lane) {
        const int s = g * L + lane;
        T vector[3] = {1, 0, 0};
        per_length[lane] = 1;
        if (s < n) {
          const int64_t e = side == Side::centre ? first_slot + s : given.transpose_edges[first_slot + s];
          edge[s] = e;
          other[s] = side == Side::centre ? given.neighbour[e] : given.centre[e];
          std::copy_n(vectors_of_edges + 3 * e, 3, vector);
          per_length[lane] = cutoff[given.cutoff_per_edge ? e : 0];
        }
        for (int k = 0; k < 3; ++k) direction[k * L + lane] = vector[k];
      }
      for (int lane = 0; lane < L; ++lane) {
        T &x = direction[lane], &y = direction[L + lane], &z = direction[2 * L + lane];
        const T r = std::sqrt(x * x + y * y + z * z), per_r = 1 / r, u = r * per_length[lane];
        x *= per_r, y *= per_r, z *= per_r;
        inverse[lane] = per_r;
        const T position = (u < 1 ? u : T(1)) * intervals;
        const T below = std::floor(position), left = below < last ? below : last;
        knot[lane] = left;
        t[lane] = position - left;
        scale[lane] = u <= 1 ? intervals * per_length[lane] : T(0);
      }
      for (int lane = 0; lane < std::min(L, n - g * L); ++lane)
        row[g * L + lane] =
            table + static_cast<int64_t>(knot[lane] + (knot[lane] >= first_behind)) * given.order * given.n_weights;
      interpolate(g, load(t), 1 / intervals, load(scale), static_cast<int>(given.order));
      T *const power = unit.monomial.group(g);
      store(power, Vec<T>{} + 1);
      over_monomials([&](auto number) EQUIPOT_INLINE_LAMBDA {
        constexpr Monomial monomial = monomials[number];
        store(power + number * L, load(power + monomial.parent * L) * load(direction + monomial.factor * L));
      });
    }
  }

  // Hermite polynomials at t and their derivatives with respect to r; knots are h apart in u, dt/dr = scale.
  void interpolate(int g, Vec<T> t, T h, Vec<T> scale, int order) const
  {
    T *const f = value.group(g), *const d = slope.group(g), *const c = curvature.group(g);
    const Vec<T> t2 = t * t, t3 = t2 * t, square = scale * scale;
    auto put = [](T *to, std::initializer_list<Vec<T>> rows) {
      for (const Vec<T> &v : rows) {
        store(to, v);
        to += L;
      }
    };
    if (order == 2) {
      const Vec<T> rise = 3 * t2 - 2 * t3, rise1 = (6 * t - 6 * t2) * scale, rise2 = (6 - 12 * t) * square;
      put(f, {1 - rise, (t3 - 2 * t2 + t) * h, rise, (t3 - t2) * h});
      put(d, {-rise1, (3 * t2 - 4 * t + 1) * h * scale, rise1, (3 * t2 - 2 * t) * h * scale});
      put(c, {-rise2, (6 * t - 4) * h * square, rise2, (6 * t - 2) * h * square});
    } else {
      const Vec<T> t4 = t2 * t2, t5 = t4 * t;
      const T q = h * h / 2;
      const Vec<T> rise = 10 * t3 - 15 * t4 + 6 * t5, rise1 = (30 * t2 - 60 * t3 + 30 * t4) * scale;
      const Vec<T> rise2 = (60 * t - 180 * t2 + 120 * t3) * square;
      put(f, {1 - rise, (t - 6 * t3 + 8 * t4 - 3 * t5) * h, (t2 - 3 * t3 + 3 * t4 - t5) * q, rise,
              (7 * t4 - 4 * t3 - 3 * t5) * h, (t3 - 2 * t4 + t5) * q});
      put(d, {-rise1, (1 - 18 * t2 + 32 * t3 - 15 * t4) * h * scale, (2 * t - 9 * t2 + 12 * t3 - 5 * t4) * q * scale,
              rise1, (28 * t3 - 12 * t2 - 15 * t4) * h * scale, (3 * t2 - 8 * t3 + 5 * t4) * q * scale});
      put(c, {-rise2, (96 * t2 - 36 * t - 60 * t3) * h * square, (2 - 18 * t + 36 * t2 - 20 * t3) * q * square, rise2,
              (84 * t2 - 24 * t - 60 * t3) * h * square, (6 * t - 24 * t2 + 20 * t3) * q * square});
    }
  }

  // P of the path for every slot, from the monomials, and its derivatives from theirs.
  template <class... Directions> void build(const Path &path, Directions &...of) const
  {
    ((of.matrix.count = path.entries()), ...);
    for (int g = 0; g < n_groups; ++g) {
      const T *const from[] = {of.monomial.group(g)...};
      T *const to[] = {of.matrix.group(g)...};
      const int *entry = path.by_length.data(), *const end = entry + path.by_length.size();
      while (entry != end) entry = build_entries<sizeof...(of)>(path, path.length(*entry), entry, end, from, to);
    }
  }

  // Changes of the monomials when the unit vector changes by `direction`.
  void differentiate(Direction<T> &direction) const
  {
    for (int g = 0; g < n_groups; ++g) {
      const T *power = unit.monomial.group(g);
      const Vec<T> change[3] = {load(direction.vector.group(g)), load(direction.vector.group(g) + L),
                                load(direction.vector.group(g) + 2 * L)};
      T *to = direction.monomial.group(g);
      store(to, Vec<T>{});
      over_monomials([&](auto number) EQUIPOT_INLINE_LAMBDA {
        constexpr Monomial monomial = monomials[number];
        Vec<T> sum{};
        EQUIPOT_UNROLL for (int a = 0; a < 3; ++a)
          if (monomial.power[a] > 0)
            sum += static_cast<T>(monomial.power[a]) * load(power + monomial.lower[a] * L) * change[a];
        store(to + number * L, sum);
      });
    }
  }

  // Change of r, of the unit vector and of the monomials when the edges move along av.
  void change_along(const T *av)
  {
    for (int s = 0; s < n_groups * L; ++s) {
      const T *a = av && s < n ? av + 3 * edge[s] : nullptr;
      T along = 0;
      for (int k = 0; k < 3 && a; ++k) along += a[k] * unit.vector.at(s, k);
      delta_r.at(s, 0) = along;
      for (int k = 0; k < 3; ++k)
        delta.vector.at(s, k) = a ? (a[k] - unit.vector.at(s, k) * along) * inverse_r.at(s, 0) : T(0);
    }
    differentiate(delta);
  }

  // No gradients yet.
  void begin_gradient()
  {
    std::fill(radial_gradient, radial_gradient + n_groups * L, Vec<T>{});
    std::fill(monomial_gradient.group(0), monomial_gradient.group(n_groups), T(0));
    std::fill(entry_gradient, entry_gradient + L * entry_stride, T(0));
  }

  // From dS/dP of one group's slots to dS/d(monomial), added.
  void collect(const Path &path, int g)
  {
    T turned[entry_stride * L];
    for (int first = 0; first < path.entries(); first += L) {
      Vec<T> rows[L];
      EQUIPOT_UNROLL for (int i = 0; i < L; ++i) rows[i] = load(entry_gradient + i * entry_stride + first);
      transpose<T>(rows);
      EQUIPOT_UNROLL for (int i = 0; i < L; ++i) store(turned + (first + i) * L, rows[i]);
    }
    T *to = monomial_gradient.group(g) + first_monomial(path.l_edge) * L;
    const Term *term = path.by_monomial.data();
    for (int k = 0; k < n_monomials(path.l_edge); ++k, to += L) {
      Vec<T> sum = load(to);
      for (const Term *const end = path.by_monomial.data() + path.first_entry[k + 1]; term != end; ++term)
        sum += coefficient_of(*term, T()) * load(turned + term->source * L);
      store(to, sum);
    }
  }

  // dS/dv of every slot's edge from dS/dr and dS/d(monomial).
  void end_gradient(T *to) const
  {
    for (int g = 0; g < n_groups; ++g) {
      const T *power = unit.monomial.group(g), *slope = monomial_gradient.group(g), *u = unit.vector.group(g);
      Vec<T> slopes[3] = {};
      over_monomials([&](auto number) EQUIPOT_INLINE_LAMBDA {
        constexpr Monomial monomial = monomials[number];
        const Vec<T> by_monomial = load(slope + number * L);
        EQUIPOT_UNROLL for (int a = 0; a < 3; ++a)
          if (monomial.power[a] > 0)
            slopes[a] += static_cast<T>(monomial.power[a]) * by_monomial * load(power + monomial.lower[a] * L);
      });
      Vec<T> along{};
      EQUIPOT_UNROLL for (int a = 0; a < 3; ++a) along += slopes[a] * load(u + a * L);
      const Vec<T> radial = sums<T, 1, L>(radial_gradient + g * L), inverse = load(inverse_r.group(g));
      T gradient[3][L];
      EQUIPOT_UNROLL for (int a = 0; a < 3; ++a)
        store(gradient[a], (slopes[a] - load(u + a * L) * along) * inverse + load(u + a * L) * radial);
      for (int lane = 0; lane < std::min(L, n - g * L); ++lane)
        for (int a = 0; a < 3; ++a) to[3 * edge[g * L + lane] + a] = gradient[a][lane];
    }
  }

 private:
  // body(std::integral_constant<int, k>()) for the monomials from degree 1 to the highest that a path needs.
  template <int Degree = 1, class Body> void over_monomials(Body &&body) const
  {
    if constexpr (Degree <= EQUIPOT_L_MAX) {
      if (Degree > problem->l_max) return;
      of_degree<first_monomial(Degree)>(body, std::make_integer_sequence<int, n_monomials(Degree)>());
      over_monomials<Degree + 1>(body);
    }
  }
  template <int First, class Body, int... K> static void of_degree(Body &body, std::integer_sequence<int, K...>)
  {
    (body(std::integral_constant<int, First + K>()), ...);
  }

  // The entries from `entry` on that have `terms` terms, for N matrices. Returns where others begin.
  template <int N, int Terms = 0>
  static const int *build_entries(const Path &path, int terms, const int *entry, const int *end, const T *const *from,
                                  T *const *to)
  {
    constexpr int unrolled = 4;
    if constexpr (Terms < unrolled)
      if (terms != Terms) return build_entries<N, Terms + 1>(path, terms, entry, end, from, to);
    for (; entry != end && path.length(*entry) == terms; ++entry) {
      const Term *term = path.terms.data() + path.first_term[*entry];
      Vec<T> sum[N] = {};
      auto add = [&](int k) EQUIPOT_INLINE_LAMBDA {
        const Vec<T> coefficient = Vec<T>{} + coefficient_of(term[k], T());
        EQUIPOT_UNROLL for (int i = 0; i < N; ++i) sum[i] += coefficient * load(from[i] + term[k].source * L);
      };
      EQUIPOT_UNROLL for (int k = 0; k < Terms; ++k) add(k);
      for (int k = Terms; Terms == unrolled && k < terms; ++k) add(k);
      EQUIPOT_UNROLL for (int i = 0; i < N; ++i) store(to[i] + *entry * L, sum[i]);
    }
    return entry;
  }

  Scratch<T> numbers;
  Scratch<int64_t> integers;
  Scratch<const T *> pointers;
  Scratch<Vec<T>> vectors;
};

}    // namespace EQUIPOT_ISA_NAME
}    // namespace equipot
