// The committee of a model: how much the forces, the virial and the energy of its members differ. See docs/uncertainty.md.
#include "pair_equipot.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "update.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <numeric>

using namespace LAMMPS_NS;

void PairEquipot::refuse_missing_members()
{
  if (deviation.every == 0 || model->n_members > 0) return;
  if (model->on_gpu()) error->all(FLERR, "pair_style equipot computes deviations on CPUs alone; leave out device or deviation");
  error->all(FLERR, "pair_style equipot, deviation: the model has no members; add them with `equipot uncertainty MODEL "
                    "TRAINING-SET --calibrate OTHER-FRAMES -o MODEL`");
}

// A run from step 0 begins a new file; a later one, after a restart, continues the file. Collective.
void PairEquipot::open_deviation_file()
{
  if (deviation.every == 0 || deviation.out) return;
  if (deviation.atomic && !atom->tag_enable)
    error->all(FLERR, "pair_style equipot, deviation: atomic needs atom IDs; use atom_modify id yes");
  std::string problem;
  if (comm->me == 0) {
    deviation.out = std::fopen(deviation.file.c_str(), update->ntimestep == 0 ? "w" : "a");
    if (!deviation.out) problem = "pair_style equipot: cannot write " + deviation.file + ": " + std::strerror(errno);
    else if (std::ftell(deviation.out) == 0)
      std::fprintf(deviation.out, "#%11s%19s%19s%19s%19s%19s%19s\n", "step", "max_devi_v", "min_devi_v", "avg_devi_v",
                   "max_devi_f", "min_devi_f", "avg_devi_f");
  }
  fail_together(problem);
}

void PairEquipot::close_deviation_file()
{
  if (deviation.out) std::fclose(deviation.out);
  deviation.out = nullptr;
}

bool PairEquipot::writes_deviation() const
{
  return deviation.every > 0 && update->ntimestep % deviation.every == 0;
}

// Every process asks for the same.
void PairEquipot::ask_for_members(equipot::Graph &graph)
{
  if (model->n_members == 0) return;
  if (eflag_global) {
    energy_deviation.resize(static_cast<std::size_t>(model->n_deviation));
    graph.deviation = energy_deviation.data();
  }
  if (!writes_deviation() && graph.wanted.count("sigma_force") == 0) return;
  graph.wanted.insert("gamma");
  member_squares.assign(rows.atom_of.size(), 0.0);
  member_virials.clear();
  graph.member = [this](const double *gradient) { add_member(gradient); };
}

// The forces of a member on owned atoms, relative to those of the model, and its virial. Collective.
void PairEquipot::add_member(const double *gradient)
{
  member_forces.assign(3 * rows.atom_of.size() + 1, 0.0);    // not empty without atoms
  double virial_of_member[9] = {};
  const std::int64_t *centres = edges.centres(), *neighbours = edges.neighbours();
  for (std::int64_t e = 0; e < edges.size(); ++e) {
    const double *r = &edges.vectors[3 * e], *g = gradient + 3 * e;
    double *on_centre = &member_forces[3 * centres[e]], *on_neighbour = &member_forces[3 * neighbours[e]];
    for (int a = 0; a < 3; ++a) {
      on_centre[a] += g[a];
      on_neighbour[a] -= g[a];
      for (int b = 0; b < 3; ++b) virial_of_member[3 * a + b] -= r[a] * g[b];
    }
  }
  const equipot::Exchange exchanged = exchange();
  if (exchanged.needed)
    exchanged.collect_ghosts({reinterpret_cast<char *>(member_forces.data()), nullptr, 3 * sizeof(double), false});
  for (std::int64_t row = 0; row < rows.n_centres; ++row)
    for (int a = 0; a < 3; ++a) member_squares[row] += member_forces[3 * row + a] * member_forces[3 * row + a];
  member_virials.insert(member_virials.end(), virial_of_member, virial_of_member + 9);
}

// The members' mean is the model, so the root mean square of their differences from it is their standard deviation. Beyond
// the training set they agree too well, so the deviation of an atom grows with its extrapolation grade.
void PairEquipot::scatter_deviation(const equipot::Prediction &prediction)
{
  if (eflag_global) {
    std::vector<double> sum(energy_deviation.size());
    MPI_Allreduce(energy_deviation.data(), sum.data(), static_cast<int>(sum.size()), MPI_DOUBLE, MPI_SUM, world);
    const double square = std::inner_product(sum.begin(), sum.end(), sum.begin(), 0.0);
    pvector[0] = comm->me == 0 ? energy_unit * std::sqrt(square) : 0.0;    // `compute pair` adds up the processes
  }
  if (member_virials.empty()) return;
  const double *grades = nullptr;
  for (const auto &output : prediction.others)
    if (output.name == "gamma") grades = output.values;
  force_deviation.assign(static_cast<std::size_t>(rows.n_centres) + 1, 0.0);
  for (std::int64_t row = 0; row < rows.n_centres; ++row) {
    const double grade = grades ? std::max(1.0, grades[row]) : 1.0;
    const double spread = std::sqrt(member_squares[row] / static_cast<double>(model->n_members));
    force_deviation[row] = std::isinf(grade) ? grade : energy_unit * grade * spread;
  }
  scatter_output("sigma_force", 0, force_deviation.data());
  if (writes_deviation()) write_deviation();
  member_virials.clear();
}

// The line of this step. Collective.
void PairEquipot::write_deviation()
{
  std::vector<double> all(member_virials.size());
  MPI_Allreduce(member_virials.data(), all.data(), static_cast<int>(all.size()), MPI_DOUBLE, MPI_SUM, world);
  const auto begin = force_deviation.begin(), end = begin + rows.n_centres;
  double most = rows.n_centres ? *std::max_element(begin, end) : 0.0;
  double least = rows.n_centres ? *std::min_element(begin, end) : HUGE_VAL;
  double sums[2] = {std::accumulate(begin, end, 0.0), static_cast<double>(rows.n_centres)};
  MPI_Allreduce(MPI_IN_PLACE, &most, 1, MPI_DOUBLE, MPI_MAX, world);
  MPI_Allreduce(MPI_IN_PLACE, &least, 1, MPI_DOUBLE, MPI_MIN, world);
  MPI_Allreduce(MPI_IN_PLACE, sums, 2, MPI_DOUBLE, MPI_SUM, world);
  const double n_atoms = std::max(1.0, sums[1]);
  double of_virial[9] = {}, squares = 0.0;
  for (std::size_t k = 0; k < all.size(); ++k) of_virial[k % 9] += all[k] * all[k] / static_cast<double>(model->n_members);
  for (double &value : of_virial) {
    squares += value / 9;
    value = energy_unit * std::sqrt(value) / n_atoms;
  }
  const double line[6] = {*std::max_element(of_virial, of_virial + 9), *std::min_element(of_virial, of_virial + 9),
                          energy_unit * std::sqrt(squares) / n_atoms, most, sums[1] > 0 ? least : 0.0, sums[0] / n_atoms};
  write_deviation_line(line, deviation.atomic ? deviations_by_tag() : std::vector<double>());
}

// The deviations of all atoms in the order of their IDs, on the first process.
std::vector<double> PairEquipot::deviations_by_tag()
{
  std::vector<double> mine;
  const PerAtom &output = others["sigma_force"];
  for (int i = 0; i < atom->nlocal; ++i) {
    mine.push_back(static_cast<double>(atom->tag[i]));
    mine.push_back(output.values[i]);
  }
  const int n = static_cast<int>(mine.size());
  std::vector<int> counts(comm->nprocs), starts(comm->nprocs + 1);
  MPI_Gather(&n, 1, MPI_INT, counts.data(), 1, MPI_INT, 0, world);
  std::partial_sum(counts.begin(), counts.end(), starts.begin() + 1);
  std::vector<double> all(comm->me == 0 ? starts.back() : 0);
  MPI_Gatherv(mine.data(), n, MPI_DOUBLE, all.data(), counts.data(), starts.data(), MPI_DOUBLE, 0, world);
  std::vector<std::pair<double, double>> by_tag;
  for (std::size_t k = 0; k + 1 < all.size(); k += 2) by_tag.emplace_back(all[k], all[k + 1]);
  std::sort(by_tag.begin(), by_tag.end());
  std::vector<double> result;
  for (const auto &[tag, value] : by_tag) result.push_back(value);
  return result;
}

void PairEquipot::write_deviation_line(const double *numbers, const std::vector<double> &of_atoms)
{
  if (comm->me != 0) return;
  std::fprintf(deviation.out, "%12s", std::to_string(update->ntimestep).c_str());
  for (int k = 0; k < 6; ++k) std::fprintf(deviation.out, " %18.6e", numbers[k]);
  for (double value : of_atoms) std::fprintf(deviation.out, " %18.6e", value);
  std::fputc('\n', deviation.out);
  if (std::fflush(deviation.out) != 0 || std::ferror(deviation.out))
    stop_all("pair_style equipot: cannot write " + deviation.file + " at step " + std::to_string(update->ntimestep) + ": " +
             std::strerror(errno));
}
