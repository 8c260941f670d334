// The neighbours of many small structures: every pair of atoms with every image that the cutoff can reach.
#include "engine.h"
#include "guarded.h"

#include <cmath>
#include <vector>

namespace {

// Rows of a cell in axes of its own: c along the first, b in the plane of the first two. The distance of an image
// along the third axis depends on its number of vectors a alone, along the second on a and b.
struct Axes {
  double a[3], b[2], c;

  explicit Axes(const double *h)
  {
    double e[3][3];    // unit vectors
    c = unit(h + 6, e[0]);
    double rest[3];
    b[0] = without(h + 3, e[0], rest);
    b[1] = unit(rest, e[1]);
    a[0] = without(h, e[0], rest);
    a[1] = without(rest, e[1], rest);
    a[2] = unit(rest, e[2]);
  }

private:
  static double unit(const double *v, double *e)
  {
    const double length = std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    for (int k = 0; k < 3; ++k) e[k] = v[k] / length;
    return length;
  }
  static double without(const double *v, const double *e, double *rest)
  {
    const double along = v[0] * e[0] + v[1] * e[1] + v[2] * e[2];
    for (int k = 0; k < 3; ++k) rest[k] = v[k] - along * e[k];
    return along;
  }
};

// The numbers n of vectors of this length with |offset + n · length| < cutoff, and no others but by rounding.
struct Range {
  int64_t first = 0, last = 0;
  Range(bool periodic, double offset, double length, double cutoff)
  {
    if (!periodic) return;
    constexpr double margin = 1e-6;
    first = static_cast<int64_t>(std::ceil((-cutoff - offset) / length - margin));
    last = static_cast<int64_t>(std::floor((cutoff - offset) / length + margin));
  }
};

struct Edges {
  int64_t capacity, n;
  int64_t *centre, *neighbour;
  double *vectors;

  void add(int64_t i, int64_t j, const double *r)
  {
    if (n < capacity) {
      centre[n] = i;
      neighbour[n] = j;
      for (int k = 0; k < 3; ++k) vectors[3 * n + k] = r[k];
    }
    ++n;
  }
};

// Fractions (n_atoms, 3) and positions moved into the cell along its periodic vectors.
void wrap(int64_t n_atoms, const double *positions, const double *h, const double *inverse, const int64_t *pbc,
          std::vector<double> &fractions, std::vector<double> &inside)
{
  fractions.resize(3 * n_atoms);
  inside.assign(positions, positions + 3 * n_atoms);
  for (int64_t i = 0; i < n_atoms; ++i) {
    const double *x = positions + 3 * i;
    for (int k = 0; k < 3; ++k) {
      const double f = x[0] * inverse[k] + x[1] * inverse[3 + k] + x[2] * inverse[6 + k];
      const double cells = pbc[k] ? std::floor(f) : 0;
      fractions[3 * i + k] = f - cells;
      for (int a = 0; a < 3; ++a) inside[3 * i + a] -= cells * h[3 * k + a];
    }
  }
}

}    // namespace

extern "C" {

int64_t equipot_search(int64_t n_graphs, const int64_t *first_atom, const double *positions, const double *cells,
                       const double *inverses, const int64_t *pbc, const int64_t *species, int64_t n_species,
                       const double *cutoffs, int64_t capacity, int64_t *centre, int64_t *neighbour, double *vectors,
                       int64_t *n_edges, char *error, size_t error_size)
{
  Edges edges{capacity, 0, centre, neighbour, vectors};
  const int state = equipot::guarded(error, error_size, [&] {
    std::vector<double> fractions, inside;
    for (int64_t g = 0; g < n_graphs; ++g) {
      const int64_t begin = first_atom[g], n_atoms = first_atom[g + 1] - begin, earlier = edges.n;
      const double *h = cells + 9 * g;
      const int64_t *periodic = pbc + 3 * g;
      wrap(n_atoms, positions + 3 * begin, h, inverses + 9 * g, periodic, fractions, inside);
      const Axes axes(h);
      for (int64_t i = 0; i < n_atoms; ++i)
        for (int64_t j = 0; j < n_atoms; ++j) {
          const double cutoff = cutoffs[species[begin + i] * n_species + species[begin + j]];
          const double limit = cutoff * cutoff;
          double d[3], f[3], r[3];
          for (int k = 0; k < 3; ++k) {
            d[k] = inside[3 * j + k] - inside[3 * i + k];
            f[k] = fractions[3 * j + k] - fractions[3 * i + k];
          }
          const Range in_a(periodic[0], f[0] * axes.a[2], axes.a[2], cutoff);
          for (int64_t p = in_a.first; p <= in_a.last; ++p) {
            const double fa = f[0] + p;
            const Range in_b(periodic[1], fa * axes.a[1] + f[1] * axes.b[1], axes.b[1], cutoff);
            for (int64_t q = in_b.first; q <= in_b.last; ++q) {
              const double along = fa * axes.a[0] + (f[1] + q) * axes.b[0] + f[2] * axes.c;
              const Range in_c(periodic[2], along, axes.c, cutoff);
              for (int64_t s = in_c.first; s <= in_c.last; ++s) {
                double squared = 0;
                for (int k = 0; k < 3; ++k) {
                  r[k] = d[k] + (p * h[k] + q * h[3 + k] + s * h[6 + k]);
                  squared += r[k] * r[k];
                }
                if (squared < limit && (i != j || p || q || s)) edges.add(begin + i, begin + j, r);
              }
            }
          }
        }
      n_edges[g] = edges.n - earlier;
    }
  });
  return state < 0 ? state : edges.n;
}

}    // extern "C"
