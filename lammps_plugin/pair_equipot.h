// The LAMMPS pair style: atoms and neighbours in, forces, energies and virials out; ghosts exchanged between layers.
#pragma once

#include "pair.h"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "clock.h"
#include "edges.h"
#include "potential.h"
#include "rows.h"

namespace LAMMPS_NS {

class PairEquipot : public Pair {
 public:
  explicit PairEquipot(class LAMMPS *);
  ~PairEquipot() override;

  // pair_equipot.cpp: the commands of the input
  void settings(int, char **) override;
  void coeff(int, char **) override;
  void init_style() override;
  double init_one(int, int) override;

  // pair_equipot_step.cpp: a step
  void compute(int, int) override;

  // pair_equipot_outputs.cpp: outputs of the network besides energies and forces, for `fix pair`
  void *extract_peratom(const char *, int &) override;
  void *extract(const char *, int &) override;

  // pair_equipot_report.cpp: time and memory
  void finish() override;
  double memory_usage() override;

  // pair_equipot_exchange.cpp: rows between processes
  int pack_forward_comm(int, int *, double *, int, int *) override;
  void unpack_forward_comm(int, int, double *) override;
  int pack_reverse_comm(int, int, double *) override;
  void unpack_reverse_comm(int, int *, double *) override;

 private:
  void allocate();
  std::string read_model(const char *filename);
  void fail_together(const std::string &problem);
  void choose_device(const std::string &wish);
  void refuse_unavailable_computes();
  void warn_of_other_masses();

  void refuse_missing_neighbours();
  void step();
  int absent_groups();
  void number_rows(bool share);
  void evaluate(bool moments);
  void scatter(const equipot::Prediction &);
  void scatter_moments(const equipot::Prediction &);
  void scatter_others(const equipot::Prediction &);
  void scatter_output(const std::string &name, int columns, const double *values);
  void stop_all(const std::string &sentence);
  std::vector<std::pair<std::string, int>> known_outputs() const;

  // pair_equipot_deviation.cpp: the spread of a committee
  void refuse_missing_members();
  void open_deviation_file();
  void close_deviation_file();
  bool writes_deviation() const;
  void ask_for_members(equipot::Graph &);
  void add_member(const double *gradient);
  void scatter_deviation(const equipot::Prediction &);
  void write_deviation();
  void write_deviation_line(const double *numbers, const std::vector<double> &of_atoms);
  std::vector<double> deviations_by_tag();

  static double resident_bytes();

  void find_images();
  void choose_travelling_rows();
  template <class RowOf> int pack(int n, double *buffer, RowOf &&row_of);
  equipot::Exchange exchange();
  template <class Communicate> void exchange_rows(const equipot::HostRows &given, Communicate &&communicate);
  char *row_at(int row) const { return row_data + (places ? (*places)[row] : row) * row_bytes; }
  static int buffer_words(std::size_t bytes) { return static_cast<int>((bytes + sizeof(double) - 1) / sizeof(double)); }

  std::unique_ptr<equipot::Potential> model;
  std::vector<int> species_of_type;    // -1: NULL, not computed by this model
  std::vector<std::vector<double>> squared_cutoffs;
  double energy_unit = 1.0;    // LAMMPS's energy unit per eV
  int threads = 1;
  bool exchange_ghosts = true, report_times = false, masses_were_checked = false;
  std::string device = "cpu";    // or cuda:N

  // Of one step; the memory is reused.
  equipot::Rows rows;
  equipot::Edges edges;
  std::vector<std::int64_t> species_of_atom;
  std::vector<double> positions;    // (n_rows, 3), for moments

  // Other outputs of the network by name: values of all owned atoms in rows, and a pointer to each row.
  struct PerAtom {
    int flag = 0;          // `fix pair` sets it before the steps whose values it reads
    bool flagged = false;  // it does; else values are computed in every step
    bool read = false;     // by anyone
    std::vector<double> values;
    std::vector<double *> row_of_atom;
  };
  std::map<std::string, PerAtom> others;

  // The committee
  struct {
    std::string file;
    bigint every = 0;    // 0: no file
    bool atomic = false;
    std::FILE *out = nullptr;
  } deviation;
  std::vector<double> energy_deviation;    // of this process, see equipot.h
  std::vector<double> member_forces;       // (n_rows, 3), of one member
  std::vector<double> member_squares;      // (n_rows), sum over members of squared forces
  std::vector<double> member_virials;      // (n_members, 9), of this process
  std::vector<double> force_deviation;     // (n_centres), in LAMMPS's units

  // Of one set of ghosts
  bigint images_of = -1;    // time step of the neighbour list
  bool any_remote = true;
  std::vector<std::int64_t> origin_process, origin_index;

  std::unordered_map<const int *, std::vector<char>> wanted;    // by LAMMPS's list of atoms to send: the needed ones
  std::vector<char> listed;                                     // by atom: in any of those lists

  // The data of the present exchange: rows, the origins of ghosts, or the ghosts that a process needs
  enum class Sending { rows, origins, wishes } sending = Sending::rows;
  char *row_data = nullptr;
  const std::vector<int> *places = nullptr;    // of rows in row_data, if not all rows are in it
  std::size_t row_bytes = 0;
  bool rows_single = false;

  equipot::Clock clock;
  double bytes_received = 0.0;
  double resident_before = -1.0, resident_most = 0.0;
};

}    // namespace LAMMPS_NS
