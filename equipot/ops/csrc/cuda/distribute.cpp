#include "distribute.h"

#include <algorithm>
#include <map>
#include <stdexcept>

namespace equipot {
namespace cuda {
namespace {

constexpr int warp_channels = 32, most_warps = 8;
constexpr int most_sums = 48;                  // in the registers of a lane
constexpr int small_tile = 8, large_tile = 32;
constexpr int comfortable = 24 << 10;          // bytes of shared memory: several blocks fit on a multiprocessor
constexpr int available = 46 << 10;            // what every GPU gives a block that does not ask for more

int matrices(const Kernel &kernel)
{
  if (kernel.sum != Sum::neighbour || !kernel.want_v) return kernel.second ? 2 : 1;
  return kernel.second ? 5 : 3;
}

int slot_size(const Path &path, int n) { return (path.entries() * n + 3) / 4 * 4; }

// Bytes of an edge in a tile, as struct Tile in tile.cu.
int edge_bytes(const Problem &problem, int slot, int warps)
{
  const int numbers = slot + 6 * static_cast<int>(problem.given.order) + 12 + 3 * warps;
  return numbers * static_cast<int>(problem.given.dtype) + 24;
}

int sums_of(const Problem &problem, const Path &path, const Kernel &kernel)
{
  if (kernel.sum == Sum::neighbour) return 0;
  return kernel.sum == Sum::centre ? 2 * path.l_out + 1 : 2 * static_cast<int>(problem.given.order);
}

// Paths by the block of x they read, in the order of the blocks. Where sums by neighbour overlapped, one would be lost.
std::map<int64_t, std::vector<int>> by_input(const Problem &problem)
{
  std::map<int64_t, std::vector<int>> inputs;
  for (std::size_t p = 0; p < problem.paths.size(); ++p)
    inputs[problem.paths[p].x_start].push_back(static_cast<int>(p));
  int64_t end = 0;
  for (const auto &input : inputs) {
    const Path &first = problem.paths[input.second[0]];
    bool good = first.x_start >= end;
    for (int p : input.second) good &= problem.paths[p].l_in == first.l_in && problem.paths[p].mul == first.mul;
    if (!good) throw std::invalid_argument("paths read blocks of the features that overlap");
    end = first.x_start + (2 * first.l_in + 1) * first.mul;
  }
  return inputs;
}

std::vector<Group> make_groups(const Problem &problem, const Kernel &kernel)
{
  std::vector<Group> groups;
  for (const auto &input : by_input(problem)) {
    const int64_t mul = problem.paths[input.second[0]].mul;
    for (int64_t channel = 0; channel < mul; channel += warp_channels * most_warps) {
      const int64_t rest = std::min<int64_t>(mul - channel, warp_channels * most_warps);
      const int warps = static_cast<int>((rest + warp_channels - 1) / warp_channels);
      const Group empty{{}, static_cast<int>(channel), warps, {}, 0};
      groups.push_back(empty);
      for (int p : input.second) {
        const int more = sums_of(problem, problem.paths[p], kernel);
        if (groups.back().sums + more > most_sums) groups.push_back(empty);
        Group &group = groups.back();
        group.paths.push_back(p);
        group.sum.push_back(group.sums);
        group.sums += more;
      }
    }
  }
  return groups;
}

}    // namespace

Distribution distribute(const Problem &problem, const Kernel &kernel)
{
  Distribution d{};
  d.matrices = matrices(kernel);
  d.groups = make_groups(problem, kernel);
  std::vector<bool> read(problem.given.dim_in, false);
  for (const Path &path : problem.paths)
    for (int64_t k = 0; k < (2 * path.l_in + 1) * path.mul; ++k) read[path.x_start + k] = true;
  d.covers_input = std::all_of(read.begin(), read.end(), [](bool b) { return b; });
  d.sums = d.widest = 1;
  for (const Path &path : problem.paths) d.widest = std::max(d.widest, 2 * path.l_in + 1);

  for (std::size_t g = 0; g < d.groups.size(); ++g) {
    const Group &group = d.groups[g];
    d.sums = std::max(d.sums, group.sums);
    auto extended = [&](Slab slab) {
      slab.groups.push_back(static_cast<int>(g));
      slab.warps += group.warps;
      for (int p : group.paths) {
        if (std::find(slab.paths.begin(), slab.paths.end(), p) != slab.paths.end()) continue;
        slab.paths.push_back(p);
        slab.place.push_back(slab.slot);
        slab.slot += slot_size(problem.paths[p], d.matrices);
      }
      return slab;
    };
    const Slab wider = d.slabs.empty() ? Slab{} : extended(d.slabs.back());
    if (!d.slabs.empty() && wider.warps <= most_warps &&
        small_tile * edge_bytes(problem, wider.slot, wider.warps) <= available)
      d.slabs.back() = wider;
    else
      d.slabs.push_back(extended(Slab{}));
  }
  for (const Slab &slab : d.slabs) {
    d.warps = std::max(d.warps, slab.warps);
    d.slot = std::max(d.slot, slab.slot);
  }
  const int bytes = edge_bytes(problem, d.slot, d.warps);
  d.tile = std::min(large_tile, comfortable / bytes);
  if (d.tile < small_tile) d.tile = std::min(small_tile, available / bytes);
  if (d.tile < 1) throw std::invalid_argument("the paths need more shared memory than a GPU has");
  return d;
}

}    // namespace cuda
}    // namespace equipot
