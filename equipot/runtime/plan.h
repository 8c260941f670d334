// Which values share memory: those that are never in use at the same time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace equipot {

// The first and last step at which an array is in use; without steps, it needs no memory.
struct Interval {
  int64_t first = INT64_MAX, last = -1, columns = 0;
  bool everywhere = false;    // rows for ghosts, too

  void include(int64_t step)
  {
    first = std::min(first, step);
    last = std::max(last, step);
  }
};

// The number of the memory slot of each array, -1 for those that need none. An array takes the free slot whose width is
// the nearest to its own (best fit, in the order of first use).
std::vector<int64_t> share_memory(const std::vector<Interval> &arrays);

}    // namespace equipot
