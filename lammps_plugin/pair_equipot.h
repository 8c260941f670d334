// The LAMMPS pair style: atoms and neighbours in, forces, energies and virials out; ghosts exchanged between layers.
#pragma once

#include "pair.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace equipot {
class Model;
struct Prediction;
}

namespace LAMMPS_NS {

class PairEquipot : public Pair {
 public:
  explicit PairEquipot(class LAMMPS *);
  ~PairEquipot() override;

  void settings(int, char **) override;
  void coeff(int, char **) override;
  void init_style() override;
  double init_one(int, int) override;
  void compute(int, int) override;
  double memory_usage() override;

  int pack_forward_comm(int, int *, double *, int, int *) override;
  void unpack_forward_comm(int, int, double *) override;
  int pack_reverse_comm(int, int, double *) override;
  void unpack_reverse_comm(int, int *, double *) override;

 private:
  void allocate();
  std::string read_model(const char *filename);
  void fail_together(const std::string &problem);
  void stop_all(const std::string &sentence);
  void refuse_missing_neighbours();
  void number_atoms();
  void build_edges();
  void scatter(const equipot::Prediction &);
  static int buffer_words(std::size_t bytes) { return static_cast<int>((bytes + sizeof(double) - 1) / sizeof(double)); }
  void announce_rows(char *data, std::size_t columns, bool single_precision);

  std::unique_ptr<equipot::Model> model;
  std::vector<int> species_of_type;    // -1: NULL, not of this model
  double energy_unit = 1.0;            // LAMMPS's energy unit per eV
  bool exchange_ghosts = true;

  // Atoms of the model in the model's numbering: owned ones first. Rebuilt each step, capacity kept.
  std::vector<int> row_of_atom;    // (nlocal + nghost), -1: not of this model
  std::vector<int> atom_of_row;
  std::int64_t n_centres = 0;
  std::vector<std::int64_t> species;
  std::vector<int> list_entry;    // (nlocal) place in the neighbour list, -1: none
  std::vector<std::int64_t> centres, neighbours, edge_index;
  std::vector<double> edge_vectors;

  // The rows under exchange
  char *rows = nullptr;
  std::size_t row_bytes = 0;
  bool rows_single = false;
};

}    // namespace LAMMPS_NS
