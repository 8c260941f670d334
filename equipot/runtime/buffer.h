// Memory that grows and stays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace equipot {

// Numbers whose content is lost when the buffer grows. Large ones lie in pages of 2 MB where the system has them: then
// the kernels wait less often for addresses.
template <class T> class Buffer {
 public:
  void grow(std::size_t n)
  {
    if (n <= capacity) return;
    constexpr std::size_t large = std::size_t(1) << 21, line = 64;
    const std::size_t numbers = n + n / 8;
    if (numbers > SIZE_MAX / sizeof(T) - large) throw std::bad_alloc();
    const std::size_t unit = numbers * sizeof(T) < 2 * large ? line : large;
    const std::size_t bytes = (numbers * sizeof(T) + unit - 1) / unit * unit;
    memory.reset();
    capacity = 0;
    memory.reset(static_cast<T *>(std::aligned_alloc(unit, bytes)));
    if (!memory) throw std::bad_alloc();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (unit == large) madvise(memory.get(), bytes, MADV_HUGEPAGE);    // advice: a refusal changes nothing
#endif
    capacity = bytes / sizeof(T);
  }

  T *data() { return memory.get(); }
  T &operator[](std::size_t k) { return memory.get()[k]; }
  std::size_t size() const { return capacity; }

 private:
  struct Free {
    void operator()(T *p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> memory;
  std::size_t capacity = 0;
};

}    // namespace equipot
