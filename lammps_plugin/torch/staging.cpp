#include "staging.h"

#include <algorithm>
#include <cstring>

using torch::Tensor;

namespace equipot {
namespace {

// At least n elements of page-locked memory; when it has to grow, a little more than needed.
Tensor grown(const Tensor &block, int64_t n, torch::Dtype dtype)
{
  if (block.defined() && block.numel() >= n) return block;
  return torch::empty({n + n / 4}, torch::TensorOptions().dtype(dtype).pinned_memory(true));
}

// Tensors have no constant memory, but nothing writes to these.
template <class T> Tensor view(const T *memory, torch::IntArrayRef shape, torch::Dtype dtype)
{
  return torch::from_blob(const_cast<T *>(memory), shape, torch::TensorOptions().dtype(dtype));
}

}    // namespace

Tensor Staging::words(int64_t n)
{
  block = grown(block, n, torch::kInt64);
  return block.narrow(0, 0, n);
}

Staging::Inputs Staging::up(const Graph &graph)
{
  const int64_t n_atoms = graph.n_atoms, n_edges = graph.n_edges;
  if (device.is_cpu())
    return {view(graph.species, {n_atoms}, torch::kInt64), view(graph.edge_index, {2, n_edges}, torch::kInt64),
            view(graph.edge_vectors, {n_edges, 3}, torch::kFloat64),
            graph.positions ? view(graph.positions, {n_atoms, 3}, torch::kFloat64) : Tensor()};

  // All numbers have eight bytes, so one tensor holds them.
  const int64_t n_positions = graph.positions ? 3 * n_atoms : 0;
  const Tensor host = words(n_atoms + 5 * n_edges + n_positions);
  int64_t *next = host.data_ptr<int64_t>();
  auto append = [&next](const void *from, int64_t n) {
    if (n > 0) std::memcpy(next, from, 8 * n);
    next += n;
  };
  append(graph.species, n_atoms);
  append(graph.edge_index, 2 * n_edges);
  append(graph.edge_vectors, 3 * n_edges);
  append(graph.positions, n_positions);
  const Tensor there = host.to(device, /*non_blocking=*/true);
  int64_t start = 0;
  auto take = [&](int64_t n) {
    start += n;
    return there.narrow(0, start - n, n);
  };
  Inputs inputs;
  inputs.species = take(n_atoms);
  inputs.edge_index = take(2 * n_edges).view({2, n_edges});
  inputs.vectors = take(3 * n_edges).view(torch::kFloat64).view({n_edges, 3});
  if (graph.positions) inputs.positions = take(n_positions).view(torch::kFloat64).view({n_atoms, 3});
  return inputs;
}

TensorPrediction Staging::down(TensorPrediction found)
{
  if (device.is_cpu()) return found;
  std::vector<Tensor *> results{&found.atomic_energies, &found.edge_gradient};
  for (Tensor &moments : found.edge_moments) results.push_back(&moments);
  for (auto &[name, values] : found.others) results.push_back(&values);
  std::vector<Tensor> flat;
  for (const Tensor *result : results) flat.push_back(result->reshape({-1}));
  const Tensor there = torch::cat(flat);
  const Tensor host = words(there.numel()).view(torch::kFloat64);
  host.copy_(there);    // waits for the device
  int64_t start = 0;
  for (Tensor *result : results) {
    const int64_t n = result->numel();
    *result = host.narrow(0, start, n).view(result->sizes());
    start += n;
  }
  return found;
}

void TravellingRows::choose(const std::vector<int> &border, int64_t centres, int64_t n_rows)
{
  n_centres = centres;
  n_ghosts = n_rows - centres;
  place_of_row.assign(n_rows, -1);
  int place = 0;
  for (int row : border) place_of_row[row] = place++;
  for (int64_t row = n_centres; row < n_rows; ++row) place_of_row[row] = place++;
  if (border.size() == border_rows.size() && std::equal(border.begin(), border.end(), border_rows.begin())) return;
  border_rows.assign(border.begin(), border.end());
  border_there = Tensor();
}

void TravellingRows::begin(const Tensor &rows)
{
  const int64_t n = static_cast<int64_t>(border_rows.size()) + n_ghosts, columns = rows.size(1);
  block = grown(block, n * columns * rows.element_size(), torch::kUInt8);
  host = block.narrow(0, 0, n * columns * rows.element_size()).view(rows.scalar_type()).view({n, columns});
}

Tensor TravellingRows::on_device(const Tensor &rows)
{
  if (!border_there.defined()) border_there = torch::tensor(border_rows, torch::kInt64).to(rows.device());
  return border_there;
}

void TravellingRows::border_down(const Tensor &rows)
{
  begin(rows);
  const int64_t n_border = border_rows.size();
  if (n_border > 0) host.narrow(0, 0, n_border).copy_(rows.index_select(0, on_device(rows)));
  host.narrow(0, n_border, n_ghosts).zero_();    // zero, like the rows on the device, if no process sends one
}

void TravellingRows::ghosts_up(Tensor &rows)
{
  if (n_ghosts == 0) return;
  rows.narrow(0, n_centres, n_ghosts).copy_(host.narrow(0, border_rows.size(), n_ghosts));
}

void TravellingRows::ghosts_down(const Tensor &rows)
{
  begin(rows);
  host.narrow(0, 0, border_rows.size()).zero_();
  if (n_ghosts > 0) host.narrow(0, border_rows.size(), n_ghosts).copy_(rows.narrow(0, n_centres, n_ghosts));
}

void TravellingRows::border_up(Tensor &rows)
{
  const int64_t n_border = border_rows.size();
  if (n_border == 0) return;
  // Every row occurs once, so the order of additions does not matter.
  rows.index_add_(0, on_device(rows), host.narrow(0, 0, n_border).to(rows.device()));
}

}    // namespace equipot
