// Rows of a graph and of its transpose, on a GPU.
#pragma once

#include "engine_cuda.h"

namespace equipot {
namespace cuda {

// Throws std::invalid_argument for a wrong graph, as equipot_topology.
void sort_graph(int64_t n_edges, int64_t n_out, int64_t n_in, const equipot_cuda &on, const int64_t *centre,
                const int64_t *neighbour, int64_t *rowptr, int64_t *transpose_rowptr, int64_t *transpose_edges);

}    // namespace cuda
}    // namespace equipot
