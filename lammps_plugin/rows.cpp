#include "rows.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>

namespace equipot {
namespace {

constexpr std::uint64_t most_cells = (1 << 21) - 1;

// The lowest 21 bits with two zeros after each.
std::uint64_t spread(std::uint64_t cell)
{
  std::uint64_t bits = 0;
  for (int b = 0; b < 21; ++b) bits |= (cell >> b & 1) << 3 * b;
  return bits;
}

}    // namespace

bool Rows::find_images(std::size_t owned, const std::vector<std::int64_t> &processes,
                       const std::vector<std::int64_t> &indices, std::int64_t me)
{
  n_owned = owned;
  n_remote = 0;
  const std::size_t n_atoms = processes.size();
  twin.resize(n_atoms);
  // LAMMPS's indices do not allow 2^31 atoms on a process.
  std::unordered_map<std::int64_t, int> first;
  first.reserve(n_atoms - n_owned);
  for (std::size_t i = 0; i < n_atoms; ++i) {
    twin[i] = static_cast<int>(i);
    if (i < n_owned) continue;
    if (processes[i] == me) {
      twin[i] = static_cast<int>(indices[i]);
      continue;
    }
    const auto [found, is_new] = first.try_emplace((processes[i] << 31) + indices[i], static_cast<int>(i));
    twin[i] = found->second;
    n_remote += is_new;
  }
  return n_remote > 0;
}

void Rows::sort(const double *const *x, double length)
{
  const std::size_t n_atoms = twin.size();
  double low[3] = {0.0, 0.0, 0.0};
  for (std::size_t i = 0; i < n_atoms; ++i)
    for (int d = 0; d < 3; ++d) low[d] = i == 0 ? x[i][d] : std::min(low[d], x[i][d]);
  keys.resize(n_atoms);
  for (std::size_t i = 0; i < n_atoms; ++i) {
    keys[i] = 0;
    for (int d = 0; d < 3; ++d) {
      const double cell = (x[i][d] - low[d]) / length;
      // Cells beyond 2^21 and positions that are not numbers come last. The order affects speed only.
      keys[i] |= spread(cell < most_cells ? static_cast<std::uint64_t>(cell) : most_cells) << d;
    }
  }
  order.resize(n_atoms);
  std::iota(order.begin(), order.end(), 0);
  const auto nearer = [this](int i, int j) { return keys[i] != keys[j] ? keys[i] < keys[j] : i < j; };
  std::sort(order.begin(), order.begin() + n_owned, nearer);
  std::sort(order.begin() + n_owned, order.end(), nearer);
}

void Rows::number(const std::vector<std::int64_t> &species_of_atom, bool share)
{
  const std::size_t n_atoms = species_of_atom.size();
  images_share = share;
  of_atom.assign(n_atoms, -1);
  atom_of.clear();
  species.clear();
  const auto has_twin = [&](int i) { return share && twin[i] != i; };
  for (std::size_t k = 0; k < n_atoms; ++k) {
    if (k == n_owned) n_centres = static_cast<std::int64_t>(atom_of.size());
    const int i = order[k];
    if (species_of_atom[i] < 0 || has_twin(i)) continue;
    of_atom[i] = static_cast<int>(atom_of.size());
    atom_of.push_back(i);
    species.push_back(species_of_atom[i]);
  }
  if (n_atoms == n_owned) n_centres = static_cast<std::int64_t>(atom_of.size());
  for (std::size_t i = n_owned; i < n_atoms; ++i)
    if (has_twin(i)) of_atom[i] = of_atom[twin[i]];
}

std::size_t Rows::bytes() const
{
  return sizeof(int) * (of_atom.capacity() + atom_of.capacity() + twin.capacity() + order.capacity()) +
      sizeof(std::int64_t) * (species.capacity() + keys.capacity());
}

}    // namespace equipot
