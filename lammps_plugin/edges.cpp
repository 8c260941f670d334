#include "edges.h"

#include "neigh_list.h"

#include <algorithm>
#include <atomic>
#include <cmath>

namespace equipot {

bool Edges::build(const LAMMPS_NS::NeighList &list, const double *const *x, const Rows &rows,
                  const std::vector<std::vector<double>> &squared_cutoffs, [[maybe_unused]] int threads)
{
  entry_of_atom.assign(rows.of_atom.size(), -1);
  for (int entry = 0; entry < list.inum; ++entry) entry_of_atom[list.ilist[entry]] = entry;
  std::atomic<bool> finite{true};

  // Calls found(edge of this centre, row of the neighbour, vector) for each neighbour within the cutoff.
  auto search = [&](std::int64_t centre, auto &&found) {
    const int i = rows.atom_of[centre];
    if (entry_of_atom[i] < 0) return std::int64_t(0);    // an atom without an entry in a list of pair_style hybrid
    const std::vector<double> &limits = squared_cutoffs[rows.species[centre]];
    const double *xi = x[i];
    const int *first = list.firstneigh[i];
    std::int64_t n = 0;
    for (int k = 0; k < list.numneigh[i]; ++k) {
      const int j = first[k] & NEIGHMASK;
      const double *xj = x[j];
      const double r[3] = {xj[0] - xi[0], xj[1] - xi[1], xj[2] - xi[2]};
      const double squared = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
      const int row = rows.of_atom[j];
      if (row < 0) continue;
      if (squared < limits[rows.species[row]])
        found(n++, row, r);
      else if (std::isnan(squared))
        finite = false;
    }
    return n;
  };

  // Counts first, so that every thread knows the positions of its edges.
  starts.resize(rows.n_centres + 1);
  starts[0] = 0;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (std::int64_t centre = 0; centre < rows.n_centres; ++centre)
    starts[centre + 1] = search(centre, [](std::int64_t, int, const double *) {});
  for (std::int64_t centre = 0; centre < rows.n_centres; ++centre) starts[centre + 1] += starts[centre];
  index.resize(2 * size());
  vectors.resize(3 * size());
  std::int64_t *centre_of = index.data(), *neighbour_of = index.data() + size();
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (std::int64_t centre = 0; centre < rows.n_centres; ++centre) {
    const std::int64_t start = starts[centre];
    search(centre, [&](std::int64_t edge, int row, const double *r) {
      centre_of[start + edge] = centre;
      neighbour_of[start + edge] = row;
      std::copy(r, r + 3, &vectors[3 * (start + edge)]);
    });
  }
  return finite;
}

std::size_t Edges::bytes() const
{
  return sizeof(std::int64_t) * (index.capacity() + starts.capacity()) +
      sizeof(double) * vectors.capacity() + sizeof(int) * entry_of_atom.capacity();
}

}    // namespace equipot
