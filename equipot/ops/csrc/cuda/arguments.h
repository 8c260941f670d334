// What a kernel is given, one structure for all of them. Read by the C++ compiler and by NVRTC, which has no headers:
// built-in types alone. `long long` is int64_t. Pointers are device memory; those that a kernel does not use are null.
#ifndef EQUIPOT_CUDA_ARGUMENTS_H
#define EQUIPOT_CUDA_ARGUMENTS_H

struct Arguments {
  // As in equipot_convolution.
  long long n_in, n_out, n_edges;
  const long long *centre, *neighbour, *rowptr, *transpose_rowptr, *transpose_edges;
  long long n_knots, doubled_knot, cutoff_per_edge;
  const void *table, *inverse_cutoff, *x, *vectors;

  const void *grad, *ax, *av;    // gradient of the output; changes of x and of the edges, null: none
  void *out, *dx, *dvectors, *dtable;

  // Edges sorted by the table's row they read, and pieces of these lists, none with edges of two rows.
  int *row_of_edge, *sorted;        // (n_edges)
  int *row_start, *piece_start;     // (n_knots + 1)
  long long piece_size;
  void *piece_sums;                 // (pieces, 2 order, n_weights)
  void *slab_vectors;               // (n_slabs, n_edges, 3), where there are several slabs of paths
  long long n_slabs;
};

// A graph to be sorted: see equipot_topology. `count` (n_in + 1) and `unsorted` (n_edges) are scratch.
struct GraphArguments {
  long long n_edges, n_out, n_in;
  const long long *centre, *neighbour;
  long long *rowptr, *transpose_rowptr, *transpose_edges;
  int *count, *unsorted, *fault;    // fault: 1 not sorted, 2 centre outside, 4 neighbour outside, added
};

struct GateArguments {
  long long n;
  double silu, tanh;
  const void *x, *grad, *a;
  void *out, *dgrad, *dx;
};

#endif
