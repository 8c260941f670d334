#include "plan.h"

#include <cstdlib>
#include <numeric>

namespace equipot {

std::vector<int64_t> share_memory(const std::vector<Interval> &arrays)
{
  struct Slot {
    int64_t columns, last;
    bool everywhere;
  };
  std::vector<std::size_t> order(arrays.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return arrays[a].first < arrays[b].first; });
  std::vector<Slot> slots;
  std::vector<int64_t> result(arrays.size(), -1);
  for (std::size_t k : order) {
    const Interval &array = arrays[k];
    if (array.last < 0) continue;
    int64_t best = -1;
    for (std::size_t s = 0; s < slots.size(); ++s) {
      if (slots[s].last >= array.first || slots[s].everywhere != array.everywhere) continue;
      if (best < 0 || std::abs(slots[s].columns - array.columns) < std::abs(slots[best].columns - array.columns))
        best = static_cast<int64_t>(s);
    }
    if (best < 0) {
      best = static_cast<int64_t>(slots.size());
      slots.push_back({0, 0, array.everywhere});
    }
    slots[best].columns = std::max(slots[best].columns, array.columns);
    slots[best].last = array.last;
    result[k] = best;
  }
  return result;
}

}    // namespace equipot
