#include "pair_equipot.h"

#include "segments.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

using namespace LAMMPS_NS;

namespace {

// kcal/mol per eV, the value LAMMPS itself converts with.
constexpr double kcal_per_mol = 23.060549;

constexpr size_t words(size_t bytes) { return (bytes + sizeof(double) - 1) / sizeof(double); }

template <typename T> void add_row(char *row, const double *received, size_t bytes)
{
  T *target = reinterpret_cast<T *>(row);
  const T *source = reinterpret_cast<const T *>(received);
  for (size_t i = 0; i < bytes / sizeof(T); ++i) target[i] += source[i];
}

std::string joined(const std::vector<std::string> &names)
{
  std::string text;
  for (const auto &name : names) text += (text.empty() ? "" : " ") + name;
  return text;
}

}    // namespace

PairEquipot::PairEquipot(LAMMPS *lmp) : Pair(lmp)
{
  single_enable = 0;
  restartinfo = 0;
  one_coeff = 1;
  manybody_flag = 1;
  no_virial_fdotr_compute = 1;
  // A heat flux from half-and-half shares of the virial would be wrong with message passing.
  centroidstressflag = CENTROID_NOTAVAIL;
}

PairEquipot::~PairEquipot()
{
  if (copymode || !allocated) return;
  memory->destroy(setflag);
  memory->destroy(cutsq);
}

void PairEquipot::allocate()
{
  allocated = 1;
  int n = atom->ntypes + 1;
  memory->create(setflag, n, n, "pair:setflag");
  memory->create(cutsq, n, n, "pair:cutsq");
  for (int i = 1; i < n; ++i)
    for (int j = 1; j < n; ++j) setflag[i][j] = 0;
}

/* pair_style equipot [threads N] [debug_no_exchange] */
void PairEquipot::settings(int narg, char **arg)
{
  int threads = 1;
  for (int i = 0; i < narg; ++i) {
    std::string keyword = arg[i];
    if (keyword == "threads" && i + 1 < narg) {
      threads = utils::inumeric(FLERR, arg[++i], false, lmp);
      if (threads < 1) error->all(FLERR, "pair_style equipot: threads is " + std::to_string(threads) + ", expected 1 or more");
    } else if (keyword == "debug_no_exchange") {
      exchange_ghosts = false;
    } else {
      error->all(FLERR, "pair_style equipot: unknown or incomplete setting '" + keyword + "', expected threads N");
    }
  }
  equipot::set_threads(threads);
}

/* pair_coeff * * model.pt name-of-type-1 ... */
void PairEquipot::coeff(int narg, char **arg)
{
  int ntypes = atom->ntypes;
  if (narg < 3 || std::strcmp(arg[0], "*") != 0 || std::strcmp(arg[1], "*") != 0)
    error->all(FLERR, "pair_coeff of pair_style equipot: expected * * <model file> <element of each atom type>");
  if (narg - 3 != ntypes)
    error->all(FLERR,
               "pair_coeff of pair_style equipot names " + std::to_string(narg - 3) + " elements, but there are " +
                   std::to_string(ntypes) + " atom types; give one for each type, or NULL");
  if (!allocated) allocate();

  std::string problem, bytes = read_model(arg[2]);
  try {
    model = std::make_unique<equipot::Model>(bytes);
  } catch (const equipot::ModelError &failure) {
    problem = std::string(arg[2]) + " " + failure.what();
  } catch (const std::exception &failure) {
    problem = std::string(arg[2]) + ": " + failure.what();
  }
  fail_together(problem);

  bool alone = force->pair == this;
  species_of_type.assign(ntypes + 1, -1);
  for (int type = 1; type <= ntypes; ++type) {
    std::string name = arg[2 + type];
    if (name == "NULL") {
      if (alone)
        error->all(FLERR, "atom type " + std::to_string(type) + " is NULL, which needs pair_style hybrid or "
                          "hybrid/overlay with another style for it");
      continue;
    }
    auto found = std::find(model->type_names.begin(), model->type_names.end(), name);
    if (found == model->type_names.end())
      error->all(FLERR, std::string(arg[2]) + " has no element '" + name + "'; it was trained for: " +
                            joined(model->type_names));
    species_of_type[type] = static_cast<int>(found - model->type_names.begin());
  }

  int count = 0;
  for (int i = 1; i <= ntypes; ++i)
    for (int j = i; j <= ntypes; ++j) {
      setflag[i][j] = species_of_type[i] >= 0 && species_of_type[j] >= 0;
      count += setflag[i][j];
    }
  if (count == 0) error->all(FLERR, "pair_coeff of pair_style equipot: all atom types are NULL");
}

// The first process reads, the others receive: thousands of them must not open one file.
std::string PairEquipot::read_model(const char *filename)
{
  std::string bytes, problem;
  if (comm->me == 0) {
    std::ifstream file(filename, std::ios::binary);
    std::ostringstream content;
    if (file && file.peek() != std::ifstream::traits_type::eof()) content << file.rdbuf();
    if (!file || content.str().empty())
      problem = std::string("model file ") + filename + " does not exist, cannot be read, or is empty";
    bytes = content.str();
  }
  fail_together(problem);
  bigint size = static_cast<bigint>(bytes.size());
  MPI_Bcast(&size, 1, MPI_LMP_BIGINT, 0, world);
  bytes.resize(size);
  constexpr bigint piece = 1 << 30;
  for (bigint start = 0; start < size; start += piece)
    MPI_Bcast(&bytes[start], static_cast<int>(std::min(piece, size - start)), MPI_CHAR, 0, world);
  return bytes;
}

// Every process calls this; when any has a problem all stop, with the sentence of the lowest one that has.
void PairEquipot::fail_together(const std::string &problem)
{
  int mine = problem.empty() ? comm->nprocs : comm->me, first = 0;
  MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, world);
  if (first == comm->nprocs) return;
  std::string sentence = problem;
  int size = static_cast<int>(sentence.size());
  MPI_Bcast(&size, 1, MPI_INT, first, world);
  sentence.resize(size);
  MPI_Bcast(sentence.data(), size, MPI_CHAR, first, world);
  error->all(FLERR, sentence);
}

void PairEquipot::init_style()
{
  if (!model) error->all(FLERR, "pair_style equipot has no model; give a pair_coeff command");
  if (!force->newton_pair)
    error->all(FLERR, "pair_style equipot needs newton on (forces on ghost atoms are sent to their owners)");
  if (std::strcmp(update->unit_style, "metal") == 0)
    energy_unit = 1.0;
  else if (std::strcmp(update->unit_style, "real") == 0)
    energy_unit = kcal_per_mol;
  else
    error->all(FLERR, std::string("pair_style equipot works in units metal or real, not ") + update->unit_style);
  if (atom->nbonds > 0)
    for (int k = 1; k <= 3; ++k)
      if (force->special_lj[k] == 0.0 && force->special_coul[k] == 0.0)
        error->all(FLERR, "special_bonds removes bonded neighbours, which pair_style equipot needs; "
                          "use special_bonds lj/coul 1.0 1.0 1.0");

  comm_forward = comm_reverse = static_cast<int>(words(model->widest_row()));
  // pair_style hybrid copied these when this style did not know them yet, and buffers get the wrapper's size.
  force->pair->comm_forward = std::max(force->pair->comm_forward, comm_forward);
  force->pair->comm_reverse = std::max(force->pair->comm_reverse, comm_reverse);

  neighbor->add_request(this, NeighConst::REQ_FULL);
}

double PairEquipot::init_one(int i, int j)
{
  int a = species_of_type[i], b = species_of_type[j];
  if (a < 0 || b < 0) return 0.0;
  return std::max(model->pair_cutoffs[a][b], model->pair_cutoffs[b][a]);
}

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

// After a failure on one process the others wait in an exchange: error->one stops them all.
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
    if (exchange_ghosts) comm->forward_comm(this, static_cast<int>(words(row_bytes)));
  };
  exchange.collect_ghosts = [&](torch::Tensor &gradient) {
    announce(gradient);
    if (exchange_ghosts) comm->reverse_comm(this, static_cast<int>(words(row_bytes)));
  };
  try {
    scatter(model->evaluate(graph, exchange));
  } catch (const equipot::ModelError &failure) {
    error->one(FLERR, "pair_style equipot failed at step " + std::to_string(update->ntimestep) + ": " + failure.what());
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
          error->one(FLERR, "an atom's position is not a number at step " + std::to_string(update->ntimestep));
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
    error->one(FLERR, "pair_style equipot: energy or forces are not finite at step " +
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
  size_t width = words(row_bytes);
  std::memset(buffer, 0, n * width * sizeof(double));
  for (int i = 0; i < n; ++i, buffer += width)
    if (int row = row_of_atom[indices[i]]; row >= 0) std::memcpy(buffer, rows + row * row_bytes, row_bytes);
  return static_cast<int>(n * width);
}

void PairEquipot::unpack_forward_comm(int n, int first, double *buffer)
{
  size_t width = words(row_bytes);
  for (int i = first; i < first + n; ++i, buffer += width)
    if (int row = row_of_atom[i]; row >= 0) std::memcpy(rows + row * row_bytes, buffer, row_bytes);
}

int PairEquipot::pack_reverse_comm(int n, int first, double *buffer)
{
  size_t width = words(row_bytes);
  std::memset(buffer, 0, n * width * sizeof(double));
  for (int i = first; i < first + n; ++i, buffer += width)
    if (int row = row_of_atom[i]; row >= 0) std::memcpy(buffer, rows + row * row_bytes, row_bytes);
  return static_cast<int>(n * width);
}

void PairEquipot::unpack_reverse_comm(int n, int *indices, double *buffer)
{
  size_t width = words(row_bytes);
  for (int i = 0; i < n; ++i, buffer += width) {
    int row = row_of_atom[indices[i]];
    if (row < 0) continue;
    if (rows_single)
      add_row<float>(rows + row * row_bytes, buffer, row_bytes);
    else
      add_row<double>(rows + row * row_bytes, buffer, row_bytes);
  }
}

double PairEquipot::memory_usage()
{
  return Pair::memory_usage() + sizeof(double) * edge_vectors.capacity() +
      sizeof(std::int64_t) * (centres.capacity() + neighbours.capacity() + edge_index.capacity() + species.capacity()) +
      sizeof(int) * (row_of_atom.capacity() + atom_of_row.capacity());
}
