// Transfers to the device of a model and back, in few large pieces. Depends on torch, not on LAMMPS.
#pragma once

#include "segments.h"

namespace equipot {

// Takes the graph of a step to the device and the results back. On a GPU each is one transfer through page-locked memory;
// on the CPU nothing is copied.
class Staging {
 public:
  struct Inputs {
    torch::Tensor species, edge_index, vectors, positions;    // see Graph; positions may be undefined
  };

  explicit Staging(c10::Device device) : device(device) {}
  Inputs up(const Graph &graph);

  // The results in host memory, valid until the next call of `up`.
  TensorPrediction down(TensorPrediction found);

 private:
  torch::Tensor words(int64_t n);

  c10::Device device;
  torch::Tensor block;    // page-locked, int64
};

// The rows that processes exchange. The tensor with all rows is on a GPU; only the exchanged rows move to the host and
// back.
class TravellingRows {
 public:
  // border: rows of owned atoms, ascending, that other processes or images need. All rows of ghosts, which are the last,
  // travel too.
  void choose(const std::vector<int> &border, int64_t n_centres, int64_t n_rows);

  // Tensors have the shape (n_rows, columns). Sending: rows of the border move to the host, rows of ghosts to the device.
  void border_down(const torch::Tensor &rows);
  void ghosts_up(torch::Tensor &rows);
  // Collecting: rows of ghosts move to the host; sums for the border move to the device and are added to its rows.
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
