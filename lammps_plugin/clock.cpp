#include "clock.h"

#include <algorithm>
#include <cstdio>

namespace equipot {

void Clock::enter(Part part)
{
  stop();
  since = MPI_Wtime();
  current = static_cast<int>(part);
}

void Clock::stop()
{
  if (current >= 0) seconds[current] += MPI_Wtime() - since;
  current = -1;
}

std::string time_table(const Clock &clock, MPI_Comm world)
{
  static const char *const names[n_parts] = {"edges from neighbour lists", "network", "waiting for other ranks",
                                             "exchange between ranks", "forces and virials"};
  std::array<double, n_parts> least, sum, largest;
  const double *mine = clock.seconds.data();
  MPI_Reduce(mine, least.data(), n_parts, MPI_DOUBLE, MPI_MIN, 0, world);
  MPI_Reduce(mine, sum.data(), n_parts, MPI_DOUBLE, MPI_SUM, 0, world);
  MPI_Reduce(mine, largest.data(), n_parts, MPI_DOUBLE, MPI_MAX, 0, world);
  int rank, ranks;
  MPI_Comm_rank(world, &rank);
  MPI_Comm_size(world, &ranks);
  if (rank != 0) return "";

  double total = 0.0;
  for (double seconds : sum) total += seconds;
  const double per_step = 1e3 / std::max(1L, clock.steps);
  char line[160];
  std::snprintf(line, sizeof line, "equipot: milliseconds per step, %ld evaluations, %d ranks\n", clock.steps, ranks);
  std::string table = line;
  std::snprintf(line, sizeof line, "  %-28s %10s %10s %10s %8s\n", "", "min", "avg", "max", "share");
  table += line;
  for (int part = 0; part < n_parts; ++part) {
    std::snprintf(line, sizeof line, "  %-28s %10.3f %10.3f %10.3f %7.2f%%\n", names[part], per_step * least[part],
                  per_step * sum[part] / ranks, per_step * largest[part], total > 0 ? 100 * sum[part] / total : 0.0);
    table += line;
  }
  return table;
}

}    // namespace equipot
