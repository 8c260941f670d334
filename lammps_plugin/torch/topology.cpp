// equipot::topology.
#include "engine_operators.h"

#include "engine.h"
#include "place.h"

#include <ATen/ops/empty.h>

using at::Tensor;

namespace equipot {

std::tuple<Tensor, Tensor, Tensor> topology(const Tensor &given, int64_t n_centres, int64_t n_atoms)
{
  expect_tensor(given, "edge_index", given.device(), at::kLong, 2);
  TORCH_CHECK(given.size(0) == 2, "edge_index has shape ", given.sizes(), "; expected (2, n_edges)");
  expect_size(n_centres, "n_centres");
  expect_size(n_atoms, "n_atoms");
  const Tensor edge_index = given.contiguous();
  const int64_t n_edges = edge_index.size(1);
  const int64_t *centre = edge_index.const_data_ptr<int64_t>();
  Tensor rowptr = at::empty({n_centres + 1}, edge_index.options());
  Tensor transpose_rowptr = at::empty({n_atoms + 1}, edge_index.options());
  Tensor transpose_edges = at::empty({n_edges}, edge_index.options());
  EngineMessage message;
  int64_t *rows = rowptr.mutable_data_ptr<int64_t>(), *columns = transpose_rowptr.mutable_data_ptr<int64_t>();
  int64_t *edges = transpose_edges.mutable_data_ptr<int64_t>();
  if (given.is_cuda()) {
    const Place place(given, 4 * (n_edges + n_atoms + 2));
    message.check(equipot_cuda_topology(n_edges, n_centres, n_atoms, place, centre, centre + n_edges, rows, columns,
                                        edges, message.text, sizeof(message.text)),
                  "graph");
  } else {
    message.check(equipot_topology(n_edges, n_centres, n_atoms, centre, centre + n_edges, rows, columns, edges,
                                   message.text, sizeof(message.text)),
                  "graph");
  }
  return {rowptr, transpose_rowptr, transpose_edges};
}

}    // namespace equipot
