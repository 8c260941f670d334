// Choosing and sorting edges, and sums of edge gradients. They take a small share of the time and run on one thread.
#include "engine.h"

#include <cstdio>
#include <string>

namespace {

int fail(char *error, size_t error_size, const std::string &sentence)
{
  if (error && error_size > 0) std::snprintf(error, error_size, "%s", sentence.c_str());
  return -1;
}

}    // namespace

extern "C" {

int equipot_topology(int64_t n_edges, int64_t n_out, int64_t n_in, const int64_t *centre, const int64_t *neighbour,
                     int64_t *rowptr, int64_t *transpose_rowptr, int64_t *transpose_edges, char *error,
                     size_t error_size)
{
  if (n_edges < 0 || n_out < 0 || n_in < 0) return fail(error, error_size, "the graph has a negative size");
  int64_t row = 0;
  rowptr[0] = 0;
  for (int64_t i = 0; i <= n_in; ++i) transpose_rowptr[i] = 0;
  for (int64_t e = 0; e < n_edges; ++e) {
    const int64_t i = centre[e], j = neighbour[e];
    if (e > 0 && i < centre[e - 1])
      return fail(error, error_size, "edge_index is not sorted by centre; expected its row 0 to ascend");
    if (i < 0 || i >= n_out) return fail(error, error_size, "edge_index names a centre outside the graph");
    if (j < 0 || j >= n_in) return fail(error, error_size, "edge_index names a neighbour outside the graph");
    while (row < i) rowptr[++row] = e;
    ++transpose_rowptr[j + 1];
  }
  while (row < n_out) rowptr[++row] = n_edges;
  // Counting sort: stable, so the edges of a neighbour stay in the order of their centres.
  for (int64_t j = 0; j < n_in; ++j) transpose_rowptr[j + 1] += transpose_rowptr[j];
  for (int64_t e = 0; e < n_edges; ++e) transpose_edges[transpose_rowptr[neighbour[e]]++] = e;
  // Each start has become the next one.
  for (int64_t j = n_in; j > 0; --j) transpose_rowptr[j] = transpose_rowptr[j - 1];
  transpose_rowptr[0] = 0;
  return 0;
}

int64_t equipot_near(int64_t n_edges, int64_t n_atoms, const double *positions, const int64_t *centre,
                     const int64_t *neighbour, const double *shifts, const double *cell, const double *limit_squared,
                     int64_t limit_per_edge, int64_t *near_centre, int64_t *near_neighbour, double *near_vectors,
                     char *error, size_t error_size)
{
  int64_t found = 0;
  for (int64_t e = 0; e < n_edges; ++e) {
    const int64_t i = centre[e], j = neighbour[e];
    if (i < 0 || i >= n_atoms || j < 0 || j >= n_atoms)
      return fail(error, error_size, "an edge names an atom outside the graph");
    const double *s = shifts + 3 * e;
    double r[3], squared = 0;
    for (int a = 0; a < 3; ++a) {
      r[a] = positions[3 * j + a] - positions[3 * i + a] + s[0] * cell[a] + s[1] * cell[3 + a] + s[2] * cell[6 + a];
      squared += r[a] * r[a];
    }
    if (!(squared < limit_squared[limit_per_edge ? e : 0])) continue;
    near_centre[found] = i;
    near_neighbour[found] = j;
    for (int a = 0; a < 3; ++a) near_vectors[3 * found + a] = r[a];
    ++found;
  }
  return found;
}

int equipot_collect(int64_t n_edges, int64_t n_atoms, int64_t n_graphs, const int64_t *centre,
                    const int64_t *neighbour, const int64_t *graph_of_atom, const double *edge_vectors,
                    const double *edge_gradient, double *forces, double *virial, char *error, size_t error_size)
{
  for (int64_t k = 0; k < 3 * n_atoms; ++k) forces[k] = 0;
  for (int64_t k = 0; k < 9 * n_graphs; ++k) virial[k] = 0;
  for (int64_t e = 0; e < n_edges; ++e) {
    const int64_t i = centre[e], j = neighbour[e];
    if (i < 0 || i >= n_atoms || j < 0 || j >= n_atoms)
      return fail(error, error_size, "an edge names an atom outside the graph");
    const int64_t graph = graph_of_atom ? graph_of_atom[i] : 0;
    if (graph < 0 || graph >= n_graphs) return fail(error, error_size, "an atom names a graph outside the batch");
    const double *r = edge_vectors + 3 * e, *g = edge_gradient + 3 * e;
    for (int a = 0; a < 3; ++a) {
      forces[3 * i + a] += g[a];
      forces[3 * j + a] -= g[a];
      for (int b = 0; b < 3; ++b) virial[9 * graph + 3 * a + b] -= r[a] * g[b];
    }
  }
  // Symmetric for an invariant energy; this removes rounding.
  for (int64_t k = 0; k < n_graphs; ++k)
    for (int a = 0; a < 3; ++a)
      for (int b = 0; b < a; ++b) {
        double *v = virial + 9 * k;
        v[3 * a + b] = v[3 * b + a] = 0.5 * (v[3 * a + b] + v[3 * b + a]);
      }
  return 0;
}

}    // extern "C"
