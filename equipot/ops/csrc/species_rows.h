// Atoms sorted by species, for linear maps with weights for each species.
#pragma once

#include <cstdint>
#include <vector>

namespace equipot {

// Memory is kept for the next sorting.
class SpeciesRows {
 public:
  // Atoms of species s, in ascending order: those between first(s) and first(s + 1) of atoms().
  void sort(const int64_t *species, int64_t n, int64_t n_species)
  {
    starts.assign(static_cast<std::size_t>(n_species) + 2, 0);
    for (int64_t i = 0; i < n; ++i) ++starts[species[i] + 2];
    for (int64_t s = 0; s < n_species; ++s) starts[s + 2] += starts[s + 1];
    sorted.resize(static_cast<std::size_t>(n));
    for (int64_t i = 0; i < n; ++i) sorted[starts[species[i] + 1]++] = i;
  }

  const int64_t *atoms() const { return sorted.data(); }
  int64_t first(int64_t s) const { return starts[s]; }

 private:
  std::vector<int64_t> sorted, starts;
};

}    // namespace equipot
