// A step: rows and edges from LAMMPS's atoms and neighbours, the model, forces and virials.
#include "pair_equipot.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <new>
#include <thread>

using namespace LAMMPS_NS;
using equipot::Part;

// After a failure on one process the others wait in an exchange; this stops all of them. MPI_Abort follows, which ends
// mpiexec at once. The pause lets the message get through on a busy machine.
void PairEquipot::stop_all(const std::string &sentence)
{
  try {
    error->one(FLERR, sentence);
  } catch (...) {
    std::fflush(nullptr);
    if (comm->nprocs > 1) std::this_thread::sleep_for(std::chrono::milliseconds(500));
    throw;
  }
}

// Neighbours that LAMMPS leaves out of its list would silently change the energy. They are known only after init_style:
// fixes can exclude atoms, and pair_style hybrid sets its skipped pairs last.
void PairEquipot::refuse_missing_neighbours()
{
  if (neighbor->includegroup)
    error->all(FLERR, "neigh_modify include hides atoms that pair_style equipot needs");
  if (num_tally_compute > 0)
    error->all(FLERR, "computes of style */tally add up forces between two atoms at a time, which pair_style equipot "
                      "does not have; use compute stress/atom, centroid/stress/atom or pe/atom");
  if (!list->ijskip) return;
  for (int i = 1; i <= atom->ntypes; ++i)
    for (int j = i; j <= atom->ntypes; ++j)
      if (species_of_type[i] >= 0 && species_of_type[j] >= 0 && list->ijskip[i][j])
        error->all(FLERR, "atom types " + std::to_string(i) + " and " + std::to_string(j) + " both belong to " +
                              "pair_style equipot, but their pair was given to another style; use hybrid/overlay");
}

// `neigh_modify exclude group A all` removes the atoms of A from the system, so their reference energies must go as well
// (fix gcmc gets the energy without an atom this way). Other exclusions hide some neighbours of an atom that remains.
// Returns the bits of those groups.
int PairEquipot::absent_groups()
{
  if (!neighbor->exclude) return 0;
  constexpr int all = 0;    // LAMMPS's first group
  int bits = 0;
  bool whole = neighbor->nex_type == 0 && neighbor->nex_mol == 0;
  for (int k = 0; k < neighbor->nex_group; ++k) {
    if (neighbor->ex2_group[k] == all)
      bits |= neighbor->ex1_bit[k];
    else if (neighbor->ex1_group[k] == all)
      bits |= neighbor->ex2_bit[k];
    else
      whole = false;
  }
  if (!whole)
    error->all(FLERR, "neigh_modify exclude (or a fix that uses it) hides neighbours that pair_style equipot needs; "
                      "only `exclude group A all` is possible, which takes the atoms of A out altogether");
  return bits;
}

void PairEquipot::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  refuse_missing_neighbours();
  try {
    step();
  } catch (const std::bad_alloc &) {
    stop_all("pair_style equipot: not enough memory at step " + std::to_string(update->ntimestep) + " for " +
             std::to_string(atom->nlocal) + " atoms and " + std::to_string(atom->nghost) +
             " ghosts of a process; use more processes or fewer atoms");
  }
}

void PairEquipot::step()
{
  if (resident_before < 0) resident_before = resident_bytes();
  clock.enter(Part::edges);
  const bool moments = cvflag_atom != 0;
  find_images();
  number_rows(!moments);
  if (!edges.build(*list, atom->x, rows, squared_cutoffs, threads))
    stop_all("pair_style equipot: an atom's position is not a number at step " + std::to_string(update->ntimestep) +
             "; the time step may be too long");
  evaluate(moments);
  clock.stop();
  ++clock.steps;
  if (neighbor->ago == 0) resident_most = std::max(resident_most, resident_bytes() - resident_before);
}

void PairEquipot::number_rows(bool share)
{
  const int absent = absent_groups();
  const int nall = atom->nlocal + atom->nghost;
  species_of_atom.resize(nall);
  for (int i = 0; i < nall; ++i)
    species_of_atom[i] = atom->mask[i] & absent ? -1 : species_of_type[atom->type[i]];
  rows.number(species_of_atom, share);
  if (model->on_gpu()) choose_travelling_rows();
}

void PairEquipot::evaluate(bool moments)
{
  equipot::Graph graph{rows.n_centres, static_cast<std::int64_t>(rows.atom_of.size()), edges.size(),
                       rows.species.data(), edges.index.data(), edges.vectors.data()};
  if (moments) {
    // Positions relative to the middle of this process's atoms lose less in single precision.
    double middle[3] = {0.0, 0.0, 0.0};
    for (int i = 0; i < atom->nlocal; ++i)
      for (int d = 0; d < 3; ++d) middle[d] += atom->x[i][d] / atom->nlocal;
    positions.clear();
    positions.reserve(1);    // a process without atoms has positions, too
    for (int i : rows.atom_of)
      for (int d = 0; d < 3; ++d) positions.push_back(atom->x[i][d] - middle[d]);
    graph.positions = positions.data();
  }
  for (const auto &[name, output] : others)
    if (output.flagged ? output.flag != 0 : output.read) graph.wanted.insert(name);
  ask_for_members(graph);
  clock.enter(Part::network);
  const equipot::Prediction *prediction = nullptr;
  try {
    prediction = &model->evaluate(graph, exchange(), threads);
  } catch (const equipot::ModelError &failure) {
    stop_all("pair_style equipot failed at step " + std::to_string(update->ntimestep) + ": " + failure.what());
  }
  clock.enter(Part::forces);
  scatter(*prediction);
  scatter_others(*prediction);
  if (model->n_members > 0) scatter_deviation(*prediction);
  if (moments) scatter_moments(*prediction);
}

// g = dE/dr_ij: f_i += g, f_j -= g, virial -r ⊗ g (xx, yy, zz, xy, xz, yz), half of it to each atom.
void PairEquipot::scatter(const equipot::Prediction &prediction)
{
  double **f = atom->f;
  const double *gradient = prediction.edge_gradient, *energies = prediction.atomic_energies;
  double check = 0.0;    // not finite if any value is not

  for (std::int64_t row = 0; row < rows.n_centres; ++row) {
    double energy = energy_unit * energies[row];
    check += std::fabs(energy);
    if (eflag_global) eng_vdwl += energy;
    if (eflag_atom) eatom[rows.atom_of[row]] += energy;
  }
  const std::int64_t *centres = edges.centres(), *neighbours = edges.neighbours();
  for (std::int64_t e = 0; e < edges.size(); ++e) {
    int i = rows.atom_of[centres[e]], j = rows.atom_of[neighbours[e]];
    const double *r = &edges.vectors[3 * e];
    const double g[3] = {energy_unit * gradient[3 * e], energy_unit * gradient[3 * e + 1],
                         energy_unit * gradient[3 * e + 2]};
    check += std::fabs(g[0]) + std::fabs(g[1]) + std::fabs(g[2]);
    for (int d = 0; d < 3; ++d) {
      f[i][d] += g[d];
      f[j][d] -= g[d];
    }
    if (!vflag_either) continue;
    // r ⊗ g of one edge is not symmetric, but the sum over all edges is.
    const double v[6] = {-r[0] * g[0],
                         -r[1] * g[1],
                         -r[2] * g[2],
                         -0.5 * (r[0] * g[1] + r[1] * g[0]),
                         -0.5 * (r[0] * g[2] + r[2] * g[0]),
                         -0.5 * (r[1] * g[2] + r[2] * g[1])};
    for (int d = 0; d < 6; ++d) {
      if (vflag_global) virial[d] += v[d];
      if (vflag_atom) {
        vatom[i][d] += 0.5 * v[d];
        vatom[j][d] += 0.5 * v[d];
      }
    }
  }
  if (!std::isfinite(check))
    stop_all("pair_style equipot: energy or forces are not finite at step " +
             std::to_string(update->ntimestep) + "; atoms may have come too close");
}

// W_j = sum_k (r_k - r_j) ⊗ dE_k/dr_j of the flux of energy J = sum_j (e_j v_j + W_j v_j), in LAMMPS's order xx, yy, zz,
// xy, xz, yz, yx, zx, zy with the position first. See docs/lammps.md.
void PairEquipot::scatter_moments(const equipot::Prediction &prediction)
{
  static const int first[9] = {0, 1, 2, 0, 0, 1, 1, 2, 2}, second[9] = {0, 1, 2, 1, 2, 2, 0, 0, 1};
  const double *gradient = prediction.edge_gradient;
  const std::int64_t *centres = edges.centres(), *neighbours = edges.neighbours();
  for (std::int64_t e = 0; e < edges.size(); ++e) {
    int i = rows.atom_of[centres[e]], j = rows.atom_of[neighbours[e]];
    const double *r = &edges.vectors[3 * e], *g = &gradient[3 * e];
    for (int k = 0; k < 9; ++k) {
      const double of_j = prediction.edge_moments[first[k]][3 * e + second[k]];
      const double of_i = of_j + r[first[k]] * g[second[k]];    // r_k - r_i = (r_k - r_j) + r_ij
      cvatom[j][k] += energy_unit * of_j;
      cvatom[i][k] -= energy_unit * of_i;
    }
  }
}
