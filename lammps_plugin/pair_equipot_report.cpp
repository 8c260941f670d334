// The report of a run: its memory, and with `timing yes` its time by part.
#include "pair_equipot.h"

#include "atom.h"
#include "comm.h"
#include "utils.h"

#include <algorithm>
#include <cstdio>
#include <fstream>

#include <unistd.h>

using namespace LAMMPS_NS;

namespace {

constexpr double mib = 1024.0 * 1024.0;

}    // namespace

// LAMMPS calls this after every run. Collective.
void PairEquipot::finish()
{
  if (!report_times || clock.steps == 0) return;
  std::string report = equipot::time_table(clock, world);
  double mine[3] = {bytes_received / clock.steps, static_cast<double>(rows.n_remote), memory_usage()}, most[3];
  MPI_Reduce(mine, most, 3, MPI_DOUBLE, MPI_MAX, 0, world);
  char line[200];
  std::snprintf(line, sizeof line,
                "  received per step and rank, at most: %.3f MiB for %.0f atoms of other ranks; memory per rank: %.1f MiB\n",
                most[0] / mib, most[1], most[2] / mib);
  if (comm->me == 0) utils::logmesg(lmp, report + line);
  clock.reset();
  bytes_received = 0.0;
}

// Growth of the process since before the first step: features, memory of the backward pass, buffers. If the
// system does not report it, the arrays of this style alone.
double PairEquipot::memory_usage()
{
  const double own = static_cast<double>(rows.bytes() + edges.bytes()) +
      sizeof(std::int64_t) * (species_of_atom.capacity() + origin_process.capacity() + origin_index.capacity()) +
      sizeof(double) * positions.capacity();
  return Pair::memory_usage() + std::max(own, resident_most);
}

double PairEquipot::resident_bytes()
{
#ifdef __linux__
  double pages = 0.0, resident = 0.0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
#else
  return 0.0;
#endif
}
