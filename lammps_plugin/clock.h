// The time of a pair style by part, over all processes.
#pragma once

#include <mpi.h>

#include <array>
#include <string>

namespace equipot {

enum class Part { edges, network, waiting, exchange, forces };
constexpr int n_parts = 5;

// One part runs at a time; `enter` ends the part before.
class Clock {
 public:
  void enter(Part part);
  void stop();
  void reset() { *this = Clock(); }
  std::array<double, n_parts> seconds{};    // sums
  long steps = 0;

 private:
  double since = 0.0;
  int current = -1;
};

// A table of seconds per step (smallest, average, largest over the processes) and shares. Collective; process 0 gets the
// text, the others an empty one.
std::string time_table(const Clock &clock, MPI_Comm world);

}    // namespace equipot
