// Where the time of a pair style goes, per part and over all processes.
#pragma once

#include <mpi.h>

#include <array>
#include <string>

namespace equipot {

enum class Part { edges, network, waiting, exchange, forces };
constexpr int n_parts = 5;

// One part runs at a time; `enter` ends the one before.
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

// A table of seconds per step (least, average, largest over the processes) and shares. Collective; the text is process
// 0's, empty elsewhere.
std::string time_table(const Clock &clock, MPI_Comm world);

}    // namespace equipot
