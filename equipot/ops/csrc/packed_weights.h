// The weights of one linear map in the order in which its kernel reads them, kept between calls.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

namespace equipot {

class PackedWeights {
 public:
  // The panels of a species, and whether they are new and must be filled.
  void *panels(int64_t species, bool transposed, std::size_t bytes, bool &is_new)
  {
    const std::size_t k = 2 * static_cast<std::size_t>(species) + (transposed ? 1 : 0);
    if (k >= memory.size()) memory.resize(k + 1);
    is_new = !memory[k];
    if (is_new) {
      constexpr std::size_t line = 64;
      memory[k].reset(std::aligned_alloc(line, (bytes + line - 1) / line * line));
      if (!memory[k]) throw std::bad_alloc();
    }
    return memory[k].get();
  }

 private:
  struct Free {
    void operator()(void *p) const { std::free(p); }
  };
  std::vector<std::unique_ptr<void, Free>> memory;
};

}    // namespace equipot
