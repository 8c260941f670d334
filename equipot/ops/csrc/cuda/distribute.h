// Which paths a warp runs over, and which warps share a block.
#pragma once

#include "specialise.h"

#include <vector>

namespace equipot {
namespace cuda {

// Paths from one block of the input, for at most 8 warps of 32 channels; each warp runs over all of them.
struct Group {
  std::vector<int> paths;
  int first_channel, warps;
  std::vector<int> sum;      // of each path: its first sum in a lane's registers
  int sums;
};

// Groups that share a block: the matrices of their paths stand in one tile.
struct Slab {
  std::vector<int> groups;
  std::vector<int> paths, place;    // each path once, and where its matrices start in a slot
  int warps, slot;
};

struct Distribution {
  std::vector<Group> groups;
  std::vector<Slab> slabs;
  int matrices, sums, widest;    // matrices per path; most sums of a lane; most components of an input block
  int warps, slot, tile;         // the largest of the slabs; edges in a tile
  bool covers_input;
};

Distribution distribute(const Problem &problem, const Kernel &kernel);

}    // namespace cuda
}    // namespace equipot
