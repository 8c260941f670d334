// What a kernel's text needs to run on a CPU: every thread of a block is a fiber, run until it waits for the others.
// Blocks run one after another. Within a block one warp runs as far as barriers let it, then the next, forwards or (with
// EMULATION_ORDER=reverse) backwards, and shared memory starts as NaNs: what is read before it is written, or
// overwritten before it is read because a barrier is missing, shows in the results. Barriers that not all threads of a
// block or warp come to, or not to the same one, end the program.
// Not seen: races between blocks, between lanes that do not wait for each other, and all that is special to a GPU's
// memory.
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
using std::fma;
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
  int line = 0;    // of the barrier it waits at
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

inline void wait(State at, int line)
{
  current->state = at;
  current->line = line;
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

// Lets the threads [first, last) go on when all of them wait for `at`, at the same barrier.
inline bool release(std::size_t first, std::size_t last, State at)
{
  for (std::size_t k = first; k < last; ++k)
    if (fibers[k].state != at) return false;
  for (std::size_t k = first; k < last; ++k) {
    if (fibers[k].line != fibers[first].line) fail("threads wait at different barriers");
    fibers[k].state = ready;
  }
  return true;
}

// Runs the threads [first, last) of a warp until all are finished or wait for other warps.
inline bool run_warp(unsigned first, unsigned last, bool reverse)
{
  bool moved = false;
  do {
    for (unsigned k = first; k < last; ++k) {
      Fiber &f = fibers[reverse ? last - 1 - (k - first) : k];
      if (f.state == ready) resume(f), moved = true;
    }
  } while (release(first, last, at_warp));
  return moved;
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
  const unsigned warps = (threads + 31) / 32;
  for (;;) {
    bool moved = false;
    for (unsigned k = 0; k < warps; ++k) {
      const unsigned first = 32 * (reverse ? warps - 1 - k : k);
      moved |= run_warp(first, first + 32 < threads ? first + 32 : threads, reverse);
    }
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

#define __syncthreads() emulation::wait(emulation::at_block, __LINE__)
#define __shfl_xor_sync(lanes, value, mask) emulation::shuffle(lanes, value, mask, __LINE__)
#define __ballot_sync(lanes, value) emulation::ballot(lanes, value, __LINE__)

namespace emulation {

template <class T> T shuffle(unsigned lanes, T value, int mask, int line)
{
  if (lanes != 0xffffffffu) fail("not all lanes shuffle");
  const unsigned lane = threadIdx.x % 32;
  slot<T>(lane) = value;
  wait(at_warp, line);
  const T found = slot<T>(lane ^ static_cast<unsigned>(mask));
  wait(at_warp, line);
  return found;
}

inline unsigned ballot(unsigned lanes, bool value, int line)
{
  if (lanes != 0xffffffffu) fail("not all lanes vote");
  slot<unsigned>(threadIdx.x % 32) = value;
  wait(at_warp, line);
  unsigned found = 0;
  for (unsigned lane = 0; lane < 32; ++lane) found |= slot<unsigned>(lane) << lane;
  wait(at_warp, line);
  return found;
}

}    // namespace emulation

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
