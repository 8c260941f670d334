/* The convolution of one layer, with its first and second derivatives. Plain C: no torch, no Python.

     out[i, path, m3, c] = sum over edges (i, j), m1:  w_path,c(r_ij) · P_path[m3, m1](r_ij / |r_ij|) · x[j, m1, c]

   P_path is a matrix of homogeneous polynomials of degree l_edge: the Clebsch-Gordan coefficients contracted with
   the spherical harmonics. w is read from a table by Hermite interpolation. The caller owns all memory.

   Every output element is summed by one thread in the order of the edges, and sums over all edges (the table's
   gradient) in parts that depend on the problem alone: results do not depend on the number of threads.

   All functions return 0, or -1 with a sentence in `error`. They may be called from several threads at once. */
#ifndef EQUIPOT_ENGINE_H
#define EQUIPOT_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define EQUIPOT_PUBLIC __attribute__((visibility("default")))
#else
#define EQUIPOT_PUBLIC
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when the structure below or the meaning of an argument changes. */
#define EQUIPOT_ENGINE_VERSION 5

enum { EQUIPOT_FLOAT32 = 4, EQUIPOT_FLOAT64 = 8 }; /* bytes of a number */

enum { EQUIPOT_L_MAX = 4, EQUIPOT_PATH_FIELDS = 8 };

/* Every structure begins with its size: callers that declare it themselves (Python) are refused where theirs differs. */
typedef struct {
  int64_t size;    /* sizeof of this structure */
  int64_t dtype;   /* of every floating-point array below except `coupling` */
  int64_t threads; /* at most; 1 or more */

  /* The graph. Centres are the rows of the output, neighbours the rows of x. */
  int64_t n_in, n_out, n_edges;
  const int64_t *centre;            /* (n_edges) ascending */
  const int64_t *neighbour;         /* (n_edges) */
  const int64_t *rowptr;            /* (n_out + 1) edges of each centre */
  const int64_t *transpose_rowptr;  /* (n_in + 1) places in transpose_edges of each neighbour */
  const int64_t *transpose_edges;   /* (n_edges) edge numbers sorted by neighbour */

  /* The paths; eight numbers each:
       l_in, l_edge, l_out   orders
       mul                   channels
       x_start               column of x where the input block starts; its layout is (2 l_in + 1, mul)
       out_start             column of out of the path's first channel at m3 = 0
       out_stride            columns from one m3 to the next
       weight_start          column of the table of the first channel
     and in `coupling`, path after path, P as (monomial, 2 l_out + 1, 2 l_in + 1). The monomials x^a y^b z^c of
     degree l are ordered recursively: x times all of degree l - 1, y times those without x, then z^l. */
  int64_t n_paths, n_coupling;
  const int64_t *paths;
  const double *coupling;
  int64_t dim_in, dim_out;

  /* The radial table (n_knots, order, n_weights): value, first and (order 3) second derivative with respect to
     u = r · inverse_cutoff at uniform knots on [0, 1]. Beyond 1 the value at 1 is read. Where doubled_knot is not 0,
     that knot's row comes twice: what holds to its left, and then to its right, for functions whose curvature jumps
     there; n_knots counts both. */
  int64_t n_knots, doubled_knot, order, n_weights;
  const void *table;
  const void *inverse_cutoff; /* one number, or one per edge: then cutoff_per_edge is 1 */
  int64_t cutoff_per_edge;

  const void *x;            /* (n_in, dim_in) */
  const void *edge_vectors; /* (n_edges, 3), none of zero length */
} equipot_convolution;

/* out (n_out, dim_out) */
EQUIPOT_PUBLIC int equipot_forward(const equipot_convolution *problem, void *out, char *error, size_t error_size);

/* From grad = dS/dout (n_out, dim_out): dS/dx (n_in, dim_in), dS/dedge_vectors (n_edges, 3), dS/dtable (as the
   table). Null pointers are not computed. */
EQUIPOT_PUBLIC int equipot_backward(const equipot_convolution *problem, const void *grad, void *dx,
                                    void *dedge_vectors, void *dtable, char *error, size_t error_size);

/* Derivatives of <ax, dS/dx> + <av, dS/dedge_vectors> with respect to grad, x, edge_vectors and the table, where
   ax (n_in, dim_in) and av (n_edges, 3) are given. Null pointers are not computed. */
EQUIPOT_PUBLIC int equipot_second(const equipot_convolution *problem, const void *grad, const void *ax,
                                  const void *av, void *dgrad, void *dx, void *dedge_vectors, void *dtable,
                                  char *error, size_t error_size);

/* Linear maps of features, a matrix for each block and, if wanted, each species:

     out[i, out_start + m · mul_out + d] = sum over c: x[i, x_start + m · mul_in + c] · W_s(i)[c, d]

   Columns of the output that no block writes are zero. */
enum { EQUIPOT_BLOCK_FIELDS = 6 };

typedef struct {
  int64_t size; /* sizeof of this structure */
  int64_t dtype, threads;
  int64_t n, dim_in, dim_out; /* rows (atoms); columns of x and of out */
  int64_t n_species, n_weights;
  const int64_t *species; /* (n), or null: all rows have the first matrices */
  int64_t n_blocks;
  const int64_t *blocks; /* x_start, dim = number of m, mul_in, out_start, mul_out, weight_start */
} equipot_linear;

/* out (n, dim_out) from x (n, dim_in) and weight (n_species, n_weights); transposed: the other way, (n, dim_in) from
   (n, dim_out) with the transposed matrices. */
EQUIPOT_PUBLIC int equipot_linear_apply(const equipot_linear *map, const void *x, const void *weight, int transposed,
                                        void *out, char *error, size_t error_size);

/* dS/dweight (n_species, n_weights) from x (n, dim_in) and grad = dS/dout (n, dim_out). */
EQUIPOT_PUBLIC int equipot_linear_weights(const equipot_linear *map, const void *x, const void *grad, void *dweight,
                                          char *error, size_t error_size);

/* The gate nonlinearity. Scalars pass f; components of higher irreps are multiplied by f of a scalar of their own:

     out[i, out_start + m · mul + c] = x[i, x_start + m · mul + c] · f(x[i, gate_start + c]),  or f(x) for scalars

   f is silu · silu(x) for even scalars and tanh · tanh(x) for odd ones. */
enum { EQUIPOT_GATE_FIELDS = 6 };

typedef struct {
  int64_t size; /* sizeof of this structure */
  int64_t dtype, threads;
  int64_t n, dim_in, dim_out;
  int64_t n_blocks;
  const int64_t *blocks; /* x_start, dim = number of m, mul, out_start, gate_start (-1: scalars), even */
  double silu, tanh;
} equipot_gating;

/* out (n, dim_out) from x (n, dim_in); dx (n, dim_in) from grad = dS/dout; and, with a (n, dim_in), the gradients of
   <a, dx> with respect to grad and x. Every column of x and of out belongs to exactly one block. */
EQUIPOT_PUBLIC int equipot_gate(const equipot_gating *gate, const void *x, void *out, char *error, size_t error_size);
EQUIPOT_PUBLIC int equipot_gate_backward(const equipot_gating *gate, const void *x, const void *grad, void *dx,
                                         char *error, size_t error_size);
EQUIPOT_PUBLIC int equipot_gate_second(const equipot_gating *gate, const void *x, const void *grad, const void *a,
                                       void *dgrad, void *dx, char *error, size_t error_size);

/* Rows of a graph and of its transpose from its edges: see the fields of equipot_convolution. Refuses edges that are
   not sorted by centre and indices outside [0, n_out) and [0, n_in). */
EQUIPOT_PUBLIC int equipot_topology(int64_t n_edges, int64_t n_out, int64_t n_in, const int64_t *centre,
                                    const int64_t *neighbour, int64_t *rowptr, int64_t *transpose_rowptr,
                                    int64_t *transpose_edges, char *error, size_t error_size);

/* Of a list of pairs that reaches further than the cutoff, those within it: r_ij = r_j - r_i + shifts · cell with
   |r_ij|² < limit_squared (one number, or one per edge). Returns how many there are, written to the arrays of size
   n_edges, or -1. shifts (n_edges, 3) in cell vectors, the rows of cell. Double precision. */
EQUIPOT_PUBLIC int64_t equipot_near(int64_t n_edges, int64_t n_atoms, const double *positions, const int64_t *centre,
                                    const int64_t *neighbour, const double *shifts, const double *cell,
                                    const double *limit_squared, int64_t limit_per_edge, int64_t *near_centre,
                                    int64_t *near_neighbour, double *near_vectors, char *error, size_t error_size);

/* The neighbours of many small structures at once: all pairs with |r_ij| < cutoffs of their species, periodic images
   included, an atom itself excluded, sorted by centre, neighbour and image. The time grows with the square of the
   number of atoms of a structure. Atoms first_atom[g] to first_atom[g + 1] - 1 belong to structure g. Rows of cells
   (n_graphs, 3, 3) are its vectors; those of directions that are not periodic (pbc (n_graphs, 3)) are unit vectors
   perpendicular to all others. inverses are those of the cells. cutoffs (n_species, n_species) Å. Returns the number of
   edges, of which at most `capacity` are written, or -1. n_edges (n_graphs) are those of each structure. */
EQUIPOT_PUBLIC int64_t equipot_search(int64_t n_graphs, const int64_t *first_atom, const double *positions,
                                      const double *cells, const double *inverses, const int64_t *pbc,
                                      const int64_t *species, int64_t n_species, const double *cutoffs,
                                      int64_t capacity, int64_t *centre, int64_t *neighbour, double *vectors,
                                      int64_t *n_edges, char *error, size_t error_size);

/* From g = dE/dr_ij (n_edges, 3), in double precision: forces (n_atoms, 3), f_i += g and f_j -= g, and virials
   (n_graphs, 3, 3), -sum of r ⊗ g, symmetrised. graph_of_atom may be null: one graph. */
EQUIPOT_PUBLIC int equipot_collect(int64_t n_edges, int64_t n_atoms, int64_t n_graphs, const int64_t *centre,
                                   const int64_t *neighbour, const int64_t *graph_of_atom,
                                   const double *edge_vectors, const double *edge_gradient, double *forces,
                                   double *virial, char *error, size_t error_size);

/* Instructions in use: "avx512", "avx2" or "portable". The best the machine has, unless the environment variable
   EQUIPOT_ISA names another when the library is first used. */
EQUIPOT_PUBLIC const char *equipot_isa(void);

/* Fused multiply-adds per second, in units of 1e9, of `threads` threads doing nothing else (about 0.1 s). */
EQUIPOT_PUBLIC double equipot_peak_gfma(int64_t dtype, int64_t threads);

EQUIPOT_PUBLIC int equipot_engine_version(void);

/* OpenMP's default number of threads; 1 without OpenMP. */
EQUIPOT_PUBLIC int equipot_max_threads(void);

/* From now on the process keeps the memory it frees. An evaluation frees gigabytes for large systems and asks for the
   same again in the next step; given back in between, every page would be cleared and mapped anew each time, which
   doubles the time of a step. A setting of the C library's malloc, where that is glibc; elsewhere nothing happens. */
EQUIPOT_PUBLIC void equipot_keep_memory(void);

#ifdef __cplusplus
}
#endif
#endif
