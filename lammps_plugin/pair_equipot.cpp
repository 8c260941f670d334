// The commands of the input: settings, model and elements; and the requests of this style to LAMMPS.
#include "pair_equipot.h"

#include "masses.h"
#include "model_bytes.h"

#include "atom.h"
#include "comm.h"
#include "compute.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "modify.h"
#include "neighbor.h"
#include "update.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace LAMMPS_NS;

namespace {

// kcal/mol per eV, LAMMPS's own value.
constexpr double kcal_per_mol = 23.060549;
constexpr int most_threads = 1024;

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
  // The flux of energy needs a per-atom virial that differs from that of the stress; see scatter_moments.
  centroidstressflag = CENTROID_AVAIL;
  pvector = new double[1]{0.0};    // the standard deviation of the energy, for `compute pair`
}

PairEquipot::~PairEquipot()
{
  if (copymode) return;
  close_deviation_file();
  delete[] pvector;
  if (!allocated) return;
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

/* pair_style equipot [threads N] [timing yes|no] [device cpu|cuda|cuda:N] [deviation FILE every N [atomic]]
   [debug_no_exchange] */
void PairEquipot::settings(int narg, char **arg)
{
  threads = 1;
  report_times = false;
  exchange_ghosts = true;
  close_deviation_file();
  deviation = {};
  std::string wish = "cpu";
  for (int i = 0; i < narg; ++i) {
    const std::string keyword = arg[i], value = i + 1 < narg ? arg[i + 1] : "";
    if (keyword == "threads" && !value.empty()) {
      threads = utils::is_integer(value) ? std::atoi(value.c_str()) : 0;
      if (threads < 1 || threads > most_threads)
        error->all(FLERR, "pair_style equipot: threads is '" + value + "', expected a number from 1 to " +
                              std::to_string(most_threads));
      ++i;
    } else if (keyword == "timing" && !value.empty()) {
      if (value != "yes" && value != "no")
        error->all(FLERR, "pair_style equipot: timing is '" + value + "', expected yes or no");
      report_times = value == "yes";
      ++i;
    } else if (keyword == "device" && !value.empty()) {
      wish = value;
      ++i;
    } else if (keyword == "deviation" && i + 3 < narg && std::strcmp(arg[i + 2], "every") == 0) {
      const std::string interval = arg[i + 3];
      deviation.file = value;
      deviation.every = utils::is_integer(interval) ? std::atoll(interval.c_str()) : 0;
      if (deviation.every < 1)
        error->all(FLERR, "pair_style equipot, deviation: every is '" + interval + "', expected a number of steps, 1 or more");
      i += 3;
      deviation.atomic = i + 1 < narg && std::strcmp(arg[i + 1], "atomic") == 0;
      i += deviation.atomic;
    } else if (keyword == "debug_no_exchange") {
      exchange_ghosts = false;
    } else {
      error->all(FLERR, "pair_style equipot: unknown or incomplete setting '" + keyword +
                            "', expected threads N, timing yes, device cuda or deviation FILE every N [atomic]");
    }
  }
  choose_device(wish);
}

// The processes of a machine share its GPUs. Collective.
void PairEquipot::choose_device(const std::string &wish)
{
  MPI_Comm machine;
  MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, comm->me, MPI_INFO_NULL, &machine);
  int local_rank;
  MPI_Comm_rank(machine, &local_rank);
  MPI_Comm_free(&machine);
  std::string problem;
  char mine[160] = "";
  try {
    device = equipot::open_device(wish, local_rank);
    if (device != "cpu") std::snprintf(mine, sizeof mine, "%s", equipot::description(device).c_str());
  } catch (const std::exception &failure) {
    problem = std::string("pair_style equipot, device: ") + failure.what();
  }
  fail_together(problem);
  if (device == "cpu") return;
  std::vector<char> all(comm->me == 0 ? sizeof mine * comm->nprocs : 0);
  MPI_Gather(mine, sizeof mine, MPI_CHAR, all.data(), sizeof mine, MPI_CHAR, 0, world);
  if (comm->me != 0) return;
  std::string text;
  for (int rank = 0; rank < comm->nprocs; ++rank)
    text += "equipot: rank " + std::to_string(rank) + " on " + &all[sizeof mine * rank] + "\n";
  utils::logmesg(lmp, text);
}

/* pair_coeff * * model.pt name-of-type-1 ... */
void PairEquipot::coeff(int narg, char **arg)
{
  int ntypes = atom->ntypes;
  if (narg < 3 || std::strcmp(arg[0], "*") != 0 || std::strcmp(arg[1], "*") != 0)
    error->all(FLERR, "pair_coeff of pair_style equipot: expected * * <model file> <element of each atom type>");
  if (std::strcmp(arg[2], "equipot") == 0 && force->pair == this)
    error->all(FLERR, "pair_coeff of pair_style equipot: the name of the style belongs there with pair_style hybrid "
                      "only; expected * * <model file> <element of each atom type>");
  if (!allocated) allocate();
  masses_were_checked = false;

  std::string problem, bytes = read_model(arg[2]);
  try {
    model = equipot::open_potential(bytes, device);
  } catch (const std::exception &failure) {
    problem = std::string(arg[2]) + ": " + failure.what();
  }
  fail_together(problem);
  nextra = model->n_deviation > 0 ? 1 : 0;

  bool alone = force->pair == this;
  int given = narg - 3;
  if (given != ntypes) {
    std::string example = std::string("pair_coeff * * ") + (alone ? "" : "equipot ") + arg[2];
    for (int type = 1; type <= ntypes; ++type)
      example += " " + (type <= given ? std::string(arg[2 + type]) : model->type_names[0]);
    error->all(FLERR, "pair_coeff of pair_style equipot names " + std::to_string(given) +
                          (given == 1 ? " element" : " elements") + ", but there are " + std::to_string(ntypes) +
                          " atom types; give one for each type, for example: " + example +
                          " (the model knows: " + joined(model->type_names) +
                          "; NULL is allowed with pair_style hybrid only)");
  }
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
    if (found == model->type_names.end()) {
      auto meant = std::find_if(model->type_names.begin(), model->type_names.end(), [&](const std::string &known) {
        return utils::lowercase(known) == utils::lowercase(name);
      });
      error->all(FLERR, std::string(arg[2]) + " has no element '" + name + "'; it was trained for: " +
                            joined(model->type_names) +
                            (meant == model->type_names.end()
                                 ? ""
                                 : "; symbols are case-sensitive, so write " + *meant));
    }
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

// The first process reads the file and sends it to the others, as thousands of processes must not open one file.
std::string PairEquipot::read_model(const char *filename)
{
  std::string bytes, problem;
  if (comm->me == 0) {
    try {
      bytes = equipot::model_bytes(filename);
    } catch (const equipot::ModelError &failure) {
      problem = std::string("model file ") + filename + ": " + failure.what();
    }
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

// Every process calls this. If any has a problem, all stop with the message of the lowest rank that has one.
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
  // The member is protected, because only Comm may set it; this class only reads it.
  struct Group : Comm {
    static int of(const Comm *comm) { return comm->*(&Group::bordergroup); }
  };
  if (Group::of(comm))
    error->all(FLERR, "comm_modify group leaves out ghost atoms that pair_style equipot needs; use comm_modify group all");
  if (atom->nbonds > 0)
    for (int k = 1; k <= 3; ++k)
      if (force->special_lj[k] == 0.0 && force->special_coul[k] == 0.0)
        error->all(FLERR, "special_bonds removes bonded neighbours, which pair_style equipot needs; "
                          "use special_bonds lj/coul 1.0 1.0 1.0");

  refuse_unavailable_computes();
  refuse_missing_members();
  warn_of_other_masses();
  open_deviation_file();

  squared_cutoffs = model->pair_cutoffs;
  for (auto &of_species : squared_cutoffs)
    for (double &cutoff : of_species) cutoff *= cutoff;
  images_of = -1;
  // A row and its part of the bits before the rows; or two words with the origin of a ghost. Rows of members have three.
  comm_forward = comm_reverse = std::max(2, buffer_words(model->widest_row()) + 1);
  if (model->n_members > 0) comm_reverse = std::max(4, comm_reverse);
  // pair_style hybrid copied these before they were set here, and buffers get the size of the wrapper.
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

// Warns of elements in an order that contradicts the masses of the atom types.
void PairEquipot::warn_of_other_masses()
{
  if (masses_were_checked || !atom->mass) return;
  masses_were_checked = true;
  for (int type = 1; type <= atom->ntypes; ++type) {
    if (species_of_type[type] < 0 || !atom->mass_setflag[type]) continue;
    const std::string &name = model->type_names[species_of_type[type]];
    const std::string other = equipot::element_of_other_mass(name, atom->mass[type]);
    if (other.empty() || comm->me != 0) continue;
    char mass[32];
    std::snprintf(mass, sizeof mass, "%.6g", atom->mass[type]);
    error->warning(FLERR, "atom type " + std::to_string(type) + " is " + name + " in pair_coeff, but its mass of " + mass +
                              " is that of " + other + ": are the elements in the order of the atom types?");
  }
}

// Checks computes that LAMMPS allows with any pair style, but that are wrong with this one.
void PairEquipot::refuse_unavailable_computes()
{
  if (modify->get_compute_by_style("^heat/flux$").empty()) return;
  // compute heat/flux does not expose which stress compute it reads.
  if (modify->get_compute_by_style("^centroid/stress/atom$").empty())
    error->all(FLERR, "compute heat/flux takes its stress from compute centroid/stress/atom with pair_style equipot: "
                      "compute stress/atom is the share for pressures, which gives a wrong flux of energy");
  if (!modify->get_compute_by_style("^stress/atom$").empty() && comm->me == 0)
    error->warning(FLERR, "there is a compute stress/atom and a compute heat/flux: with pair_style equipot the flux has "
                          "to take its stress from compute centroid/stress/atom");
}
