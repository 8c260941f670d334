#include "graph.h"

#include "arguments.h"
#include "launch.h"

#include <stdexcept>

namespace equipot {
namespace cuda {

void sort_graph(int64_t n_edges, int64_t n_out, int64_t n_in, const equipot_cuda &on, const int64_t *centre,
                const int64_t *neighbour, int64_t *rowptr, int64_t *transpose_rowptr, int64_t *transpose_edges)
{
  if (n_edges < 0 || n_out < 0 || n_in < 0) throw std::invalid_argument("the graph has a negative size");
  if (n_edges > INT32_MAX || n_out > INT32_MAX || n_in > INT32_MAX)
    throw std::invalid_argument("the graph is too large for a GPU");
  const Current current(on);
  const Driver &d = driver();
  const Loaded &kernels = load("graph", graph_source, on.device);
  GraphArguments g{};
  g.n_edges = n_edges, g.n_out = n_out, g.n_in = n_in;
  g.centre = reinterpret_cast<const long long *>(centre);
  g.neighbour = reinterpret_cast<const long long *>(neighbour);
  g.rowptr = reinterpret_cast<long long *>(rowptr);
  g.transpose_rowptr = reinterpret_cast<long long *>(transpose_rowptr);
  g.transpose_edges = reinterpret_cast<long long *>(transpose_edges);
  g.fault = static_cast<int *>(on.workspace);
  g.count = g.fault + 1;
  g.unsorted = g.count + n_in + 1;

  constexpr int block = 256, wide = 1024;    // as in graph.cu
  auto blocks = [](int64_t n, int64_t each) { return (n + each - 1) / each; };
  d.check(d.fill(reinterpret_cast<DevicePointer>(on.workspace), 0, sizeof(int) * (n_in + 2), on.stream), "clearing memory");
  launch(kernels, "check_edges", blocks(n_edges, block), 1, block, on.stream, &g);
  launch(kernels, "find_centres", blocks(n_out + 1, block), 1, block, on.stream, &g);
  launch(kernels, "start_neighbours", 1, 1, wide, on.stream, &g);
  launch(kernels, "place_edges", blocks(n_edges, block), 1, block, on.stream, &g);
  launch(kernels, "order_edges", blocks(n_in, block / 32), 1, block, on.stream, &g);
  int fault = 0;
  d.check(d.to_host(&fault, reinterpret_cast<DevicePointer>(g.fault), sizeof(fault), on.stream), "reading from the GPU");
  d.check(d.wait(on.stream), "sorting the edges");
  if (fault & 1) throw std::invalid_argument("edge_index is not sorted by centre; expected its row 0 to ascend");
  if (fault & 2) throw std::invalid_argument("edge_index names a centre outside the graph");
  if (fault & 4) throw std::invalid_argument("edge_index names a neighbour outside the graph");
}

}    // namespace cuda
}    // namespace equipot
