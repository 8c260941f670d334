// The edges of one step: LAMMPS's neighbours, which reach further than the cutoff, restricted to the cutoff.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "rows.h"

namespace LAMMPS_NS {
class NeighList;
}

namespace equipot {

struct Edges {
  // x: positions of LAMMPS's atoms; cutoffs: squares, (species, species). Edges and their order do not depend on the
  // number of threads. Returns false when a distance is not a number.
  bool build(const LAMMPS_NS::NeighList &list, const double *const *x, const Rows &rows,
             const std::vector<std::vector<double>> &squared_cutoffs, int threads);

  std::int64_t size() const { return starts.empty() ? 0 : starts.back(); }
  const std::int64_t *centres() const { return index.data(); }    // rows, ascending
  const std::int64_t *neighbours() const { return index.data() + size(); }
  std::size_t bytes() const;

  // Memory is reused in the next steps, and grows only with the number of edges.
  std::vector<std::int64_t> index;    // (2, n_edges) rows: centres, then neighbours
  std::vector<double> vectors;        // (n_edges, 3) Å, r_j - r_i

 private:
  std::vector<int> entry_of_atom;      // position of an owned atom in the list, -1: none
  std::vector<std::int64_t> starts;    // (n_centres + 1) first edge of each centre
};

}    // namespace equipot
