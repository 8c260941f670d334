// What goes to a model's device and what comes back, in few and large pieces. Knows torch and nothing of LAMMPS.
#pragma once

#include "segments.h"

namespace equipot {

// The graph of a step on its way to the device, and the results on their way back: on a GPU one transfer each, through
// page-locked memory; on the CPU nothing is copied.
class Staging {
 public:
  struct Inputs {
    torch::Tensor species, edge_index, vectors, positions;    // see Graph; positions may be undefined
  };

  explicit Staging(c10::Device device) : device(device) {}
  Inputs up(const Graph &graph);

  // The results in the host's memory, valid until the next call of `up`.
  Prediction down(Prediction found);

 private:
  torch::Tensor words(int64_t n);

  c10::Device device;
  torch::Tensor block;    // page-locked, int64
};

// Rows that processes exchange, while the tensor with all rows lies on a GPU: only these come to the host and go back.
class TravellingRows {
 public:
  // border: rows of owned atoms, ascending, that other processes or images ask for. Ghosts' rows, the last ones, travel
  // all.
  void choose(const std::vector<int> &border, int64_t n_centres, int64_t n_rows);

  // Tensors have the shape (n_rows, columns). Sending: the border's rows come down, and ghosts' rows go up.
  void border_down(const torch::Tensor &rows);
  void ghosts_up(torch::Tensor &rows);
  // Collecting: ghosts' rows come down, and what was added to the border's goes up and is added there.
  void ghosts_down(const torch::Tensor &rows);
  void border_up(torch::Tensor &rows);

  char *data() { return static_cast<char *>(host.data_ptr()); }
  const std::vector<int> &places() const { return place_of_row; }    // in `data`; -1: does not travel

 private:
  void begin(const torch::Tensor &rows);
  torch::Tensor on_device(const torch::Tensor &rows);

  std::vector<int> place_of_row;
  std::vector<int64_t> border_rows;
  int64_t n_centres = 0, n_ghosts = 0;
  torch::Tensor block;          // page-locked bytes
  torch::Tensor host;           // (border and ghosts, columns), in it
  torch::Tensor border_there;    // border_rows on the device
};

}    // namespace equipot
