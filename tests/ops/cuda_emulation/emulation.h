// What a kernel's text needs to run on a CPU: every thread of a block is a fiber, run until it waits for the others.
// Blocks run one after another. Shared memory starts as NaNs in every block, and fibers run forwards or (with
// EMULATION_ORDER=reverse) backwards: what is read before it is written, or without waiting, shows in the results.
#pragma once

#include <csetjmp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>
#include <vector>

#define EQUIPOT_EMULATION
#define KERNEL(threads) extern "C" __attribute__((visibility("default"))) void
#define SHARED static __attribute__((section("shared_memory")))
#define CONSTANT static const
#define UNROLL
#define READ(address) (*(address))

using std::fabs;
using std::floor;
using std::sqrt;

extern char __start_shared_memory[] __attribute__((weak)), __stop_shared_memory[] __attribute__((weak));

namespace emulation {

struct Index {
  unsigned x, y, z;
};

enum State { ready, at_warp, at_block, finished };

struct Fiber {
  Index thread;
  State state = ready;
  bool begun = false;
  jmp_buf here;
  ucontext_t start;
  std::vector<char> stack;
};

static std::vector<Fiber> fibers;
static Fiber *current = nullptr;
static Index block;
static jmp_buf scheduler;
static double exchange[32][32];    // values of a warp's lanes
static void (*body)(void *);
static void *body_arguments;

inline void fail(const char *sentence)
{
  std::fprintf(stderr, "emulated GPU: %s\n", sentence);
  std::abort();
}

inline void wait(State at)
{
  current->state = at;
  if (_setjmp(current->here) == 0) _longjmp(scheduler, 1);
}

inline void enter()
{
  body(body_arguments);
  current->state = finished;
  _longjmp(scheduler, 1);
}

inline void resume(Fiber &fiber)
{
  current = &fiber;
  if (_setjmp(scheduler) != 0) return;
  if (fiber.begun) _longjmp(fiber.here, 1);
  fiber.begun = true;
  setcontext(&fiber.start);
}

// Lets those go on that wait for `at`, if no thread of [first, last) is still on its way there.
inline bool release(std::size_t first, std::size_t last, State at)
{
  bool some = false;
  for (std::size_t k = first; k < last; ++k) {
    if (fibers[k].state != at && fibers[k].state != finished) return false;
    some |= fibers[k].state == at;
  }
  for (std::size_t k = first; k < last; ++k)
    if (fibers[k].state == at) fibers[k].state = ready;
  return some;
}

inline void run_block(unsigned threads, bool reverse)
{
  if (__start_shared_memory)
    std::memset(__start_shared_memory, 0xff, static_cast<std::size_t>(__stop_shared_memory - __start_shared_memory));
  if (fibers.size() != threads) fibers = std::vector<Fiber>(threads);
  for (unsigned t = 0; t < threads; ++t) {
    Fiber &f = fibers[t];
    f.thread = {t, 0, 0};
    f.state = ready;
    f.begun = false;
    if (f.stack.empty()) f.stack.resize(128 << 10);
    getcontext(&f.start);
    f.start.uc_stack.ss_sp = f.stack.data();
    f.start.uc_stack.ss_size = f.stack.size();
    f.start.uc_link = nullptr;
    makecontext(&f.start, enter, 0);
  }
  for (;;) {
    bool moved = false;
    for (unsigned k = 0; k < threads; ++k) {
      Fiber &f = fibers[reverse ? threads - 1 - k : k];
      if (f.state == ready) resume(f), moved = true;
    }
    for (unsigned warp = 0; warp < threads; warp += 32)
      moved |= release(warp, warp + 32 < threads ? warp + 32 : threads, at_warp);
    moved |= release(0, threads, at_block);
    if (moved) continue;
    for (const Fiber &f : fibers)
      if (f.state != finished) fail("threads wait for others that never come");
    return;
  }
}

template <class Arguments> void run(void *kernel, unsigned gx, unsigned gy, unsigned threads, const void *given)
{
  static void (*function)(const Arguments);
  static Arguments arguments;
  function = reinterpret_cast<void (*)(const Arguments)>(kernel);
  arguments = *static_cast<const Arguments *>(given);
  body = [](void *) { function(arguments); };
  const char *order = std::getenv("EMULATION_ORDER");
  const bool reverse = order && std::strcmp(order, "reverse") == 0;
  for (unsigned y = 0; y < gy; ++y)
    for (unsigned x = 0; x < gx; ++x) {
      block = {x, y, 0};
      run_block(threads, reverse);
    }
}

template <class T> T &slot(unsigned lane) { return reinterpret_cast<T &>(exchange[current->thread.x / 32][lane]); }

}    // namespace emulation

#define threadIdx (emulation::current->thread)
#define blockIdx (emulation::block)

inline void __syncthreads() { emulation::wait(emulation::at_block); }

template <class T> T __shfl_xor_sync(unsigned, T value, int mask)
{
  const unsigned lane = threadIdx.x % 32;
  emulation::slot<T>(lane) = value;
  emulation::wait(emulation::at_warp);
  const T found = emulation::slot<T>(lane ^ static_cast<unsigned>(mask));
  emulation::wait(emulation::at_warp);
  return found;
}

inline unsigned __ballot_sync(unsigned, bool value)
{
  emulation::slot<unsigned>(threadIdx.x % 32) = value;
  emulation::wait(emulation::at_warp);
  unsigned found = 0;
  for (unsigned lane = 0; lane < 32; ++lane) found |= emulation::slot<unsigned>(lane) << lane;
  emulation::wait(emulation::at_warp);
  return found;
}

inline int __popc(unsigned bits) { return __builtin_popcount(bits); }

inline int atomicAdd(int *to, int value)
{
  const int before = *to;
  *to += value;
  return before;
}

inline int atomicOr(int *to, int value)
{
  const int before = *to;
  *to |= value;
  return before;
}
