// What happens at every step: edges from LAMMPS's neighbours, the model, the exchange of ghosts, forces and virials.
#include "pair_equipot.h"

#include "segments.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <thread>

using namespace LAMMPS_NS;

namespace {

template <typename T> void add_row(char *row, const double *received, size_t bytes)
{
  T *target = reinterpret_cast<T *>(row);
  const T *source = reinterpret_cast<const T *>(received);
  for (size_t i = 0; i < bytes / sizeof(T); ++i) target[i] += source[i];
}

}    // namespace

// Neighbours that LAMMPS leaves out of its list would change the energy without a word. Known only after init_style:
// fixes exclude atoms by themselves, and the skipped pairs of pair_style hybrid are entered last.
void PairEquipot::refuse_missing_neighbours()
{
  if (neighbor->exclude)
    error->all(FLERR, "neigh_modify exclude (or a fix that uses it) hides neighbours that pair_style equipot needs");
  if (neighbor->includegroup)
    error->all(FLERR, "neigh_modify include hides atoms that pair_style equipot needs");
  if (!list->ijskip) return;
  for (int i = 1; i <= atom->ntypes; ++i)
    for (int j = i; j <= atom->ntypes; ++j)
      if (species_of_type[i] >= 0 && species_of_type[j] >= 0 && list->ijskip[i][j])
        error->all(FLERR, "atom types " + std::to_string(i) + " and " + std::to_string(j) + " both belong to " +
                              "pair_style equipot, but their pair was given to another style; use hybrid/overlay");
}

// After a failure on one process the others wait in an exchange: this stops them all. MPI_Abort follows, which ends
// mpiexec at once; what was printed last would be lost on a busy machine if it were not given time to get through.
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

void PairEquipot::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  refuse_missing_neighbours();
  number_atoms();
  build_edges();
  equipot::Graph graph{n_centres, static_cast<std::int64_t>(atom_of_row.size()),
                       static_cast<std::int64_t>(centres.size()), species.data(), edge_index.data(),
                       edge_vectors.data()};
  equipot::Exchange exchange;
  auto announce = [this](torch::Tensor &tensor) {
    announce_rows(static_cast<char *>(tensor.data_ptr()), tensor.size(1), tensor.scalar_type() == torch::kFloat32);
  };
  exchange.fill_ghosts = [&](torch::Tensor &features) {
    announce(features);
    if (exchange_ghosts) comm->forward_comm(this, buffer_words(row_bytes));
  };
  exchange.collect_ghosts = [&](torch::Tensor &gradient) {
    announce(gradient);
    if (exchange_ghosts) comm->reverse_comm(this, buffer_words(row_bytes));
  };
  try {
    scatter(model->evaluate(graph, exchange));
  } catch (const equipot::ModelError &failure) {
    stop_all("pair_style equipot failed at step " + std::to_string(update->ntimestep) + ": " + failure.what());
  }
}

// Rows of the model: owned atoms, then ghosts, without those of NULL types.
void PairEquipot::number_atoms()
{
  int nall = atom->nlocal + atom->nghost;
  row_of_atom.assign(nall, -1);
  atom_of_row.clear();
  species.clear();
  for (int i = 0; i < nall; ++i) {
    if (i == atom->nlocal) n_centres = static_cast<std::int64_t>(atom_of_row.size());
    int s = species_of_type[atom->type[i]];
    if (s < 0) continue;
    row_of_atom[i] = static_cast<int>(atom_of_row.size());
    atom_of_row.push_back(i);
    species.push_back(s);
  }
  if (atom->nghost == 0) n_centres = static_cast<std::int64_t>(atom_of_row.size());
}

void PairEquipot::build_edges()
{
  centres.clear();
  neighbours.clear();
  edge_vectors.clear();
  list_entry.assign(atom->nlocal, -1);
  for (int ii = 0; ii < list->inum; ++ii) list_entry[list->ilist[ii]] = ii;

  double **x = atom->x;
  for (std::int64_t row = 0; row < n_centres; ++row) {
    int i = atom_of_row[row];
    if (list_entry[i] < 0) continue;    // has no neighbours in a list of pair_style hybrid
    const auto &cutoffs = model->pair_cutoffs[species[row]];
    const int *first = list->firstneigh[i];
    for (int jj = 0; jj < list->numneigh[i]; ++jj) {
      int j = first[jj] & NEIGHMASK;
      int other = row_of_atom[j];
      if (other < 0) continue;
      double r[3] = {x[j][0] - x[i][0], x[j][1] - x[i][1], x[j][2] - x[i][2]};
      double rsq = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
      double cut = cutoffs[species[other]];
      if (!(rsq < cut * cut)) {
        if (std::isnan(rsq))
          stop_all("an atom's position is not a number at step " + std::to_string(update->ntimestep));
        continue;
      }
      centres.push_back(row);
      neighbours.push_back(other);
      edge_vectors.insert(edge_vectors.end(), r, r + 3);
    }
  }
  edge_index.assign(centres.begin(), centres.end());
  edge_index.insert(edge_index.end(), neighbours.begin(), neighbours.end());
}

// g = dE/dr_ij: f_i += g, f_j -= g, virial -r ⊗ g (xx, yy, zz, xy, xz, yz), half of it to either atom.
void PairEquipot::scatter(const equipot::Prediction &prediction)
{
  double **f = atom->f;
  const double *gradient = prediction.edge_gradient.data_ptr<double>();
  const double *energies = prediction.atomic_energies.data_ptr<double>();
  double check = 0.0;    // not finite as soon as anything is not

  for (std::int64_t row = 0; row < n_centres; ++row) {
    double energy = energy_unit * energies[row];
    check += std::fabs(energy);
    if (eflag_global) eng_vdwl += energy;
    if (eflag_atom) eatom[atom_of_row[row]] += energy;
  }
  for (size_t e = 0; e < centres.size(); ++e) {
    int i = atom_of_row[centres[e]], j = atom_of_row[neighbours[e]];
    const double *r = &edge_vectors[3 * e];
    const double g[3] = {energy_unit * gradient[3 * e], energy_unit * gradient[3 * e + 1],
                         energy_unit * gradient[3 * e + 2]};
    check += std::fabs(g[0]) + std::fabs(g[1]) + std::fabs(g[2]);
    for (int d = 0; d < 3; ++d) {
      f[i][d] += g[d];
      f[j][d] -= g[d];
    }
    if (!vflag_either) continue;
    // Of one edge r ⊗ g is not symmetric, the sum over all edges is.
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

void PairEquipot::announce_rows(char *data, size_t columns, bool single_precision)
{
  rows = data;
  rows_single = single_precision;
  row_bytes = columns * (single_precision ? sizeof(float) : sizeof(double));
}

// Rows travel as they are in memory, two floats in a double. Atoms of NULL types travel along as zeros.
int PairEquipot::pack_forward_comm(int n, int *indices, double *buffer, int, int *)
{
  const int width = buffer_words(row_bytes);
  std::memset(buffer, 0, sizeof(double) * n * width);
  for (int i = 0; i < n; ++i, buffer += width)
    if (int row = row_of_atom[indices[i]]; row >= 0) std::memcpy(buffer, rows + row * row_bytes, row_bytes);
  return n * width;
}

void PairEquipot::unpack_forward_comm(int n, int first, double *buffer)
{
  const int width = buffer_words(row_bytes);
  for (int i = first; i < first + n; ++i, buffer += width)
    if (int row = row_of_atom[i]; row >= 0) std::memcpy(rows + row * row_bytes, buffer, row_bytes);
}

int PairEquipot::pack_reverse_comm(int n, int first, double *buffer)
{
  const int width = buffer_words(row_bytes);
  std::memset(buffer, 0, sizeof(double) * n * width);
  for (int i = first; i < first + n; ++i, buffer += width)
    if (int row = row_of_atom[i]; row >= 0) std::memcpy(buffer, rows + row * row_bytes, row_bytes);
  return n * width;
}

void PairEquipot::unpack_reverse_comm(int n, int *indices, double *buffer)
{
  const int width = buffer_words(row_bytes);
  for (int i = 0; i < n; ++i, buffer += width) {
    int row = row_of_atom[indices[i]];
    if (row < 0) continue;
    if (rows_single)
      add_row<float>(rows + row * row_bytes, buffer, row_bytes);
    else
      add_row<double>(rows + row * row_bytes, buffer, row_bytes);
  }
}
