/* Evaluation of equipot model files without torch and without Python: energies and their derivatives from edges.

   Units are eV and Å. All functions that return int give 0, or -1 with a sentence in `error`, which is at most
   `error_size` bytes long and ends in zero; a longer sentence is cut off, so give 256 bytes. A model may be evaluated by several threads
   at once. The result does not depend on the number of threads. */
#ifndef EQUIPOT_H
#define EQUIPOT_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define EQUIPOT_API __attribute__((visibility("default")))
#else
#define EQUIPOT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct equipot_model equipot_model;

/* Read a model file. The file's own test is run: a model that does not give the results it was written with is refused.
   Returns null with a sentence in `error` where that fails. Close the model after use. */
EQUIPOT_API equipot_model *equipot_open(const char *path, char *error, size_t error_size);

/* The same for the bytes of a model file; they may be freed afterwards. */
EQUIPOT_API equipot_model *equipot_open_bytes(const void *bytes, size_t size, char *error, size_t error_size);

/* The same for a program that is in no file: its JSON text, and the content of its arrays. */
EQUIPOT_API equipot_model *equipot_open_program(const char *text, size_t text_size, const void *arrays,
                                                size_t arrays_size, char *error, size_t error_size);

EQUIPOT_API void equipot_close(equipot_model *model);

/* What a model is. Pointers are valid until the model is closed. */
typedef struct {
  int64_t size;                  /* sizeof of this structure, set by the caller */
  int64_t dtype;                 /* bytes of a number of the network: 4 or 8 */
  int64_t n_species;
  const char *const *type_names; /* chemical symbols, by species */
  double cutoff;                 /* Å, the longest */
  const double *pair_cutoffs;    /* (n_species, n_species) Å, symmetric */
  int64_t n_exchanges;           /* calls of fill_ghosts in an evaluation; as many of collect_ghosts */
  int64_t widest_exchange;       /* bytes of the widest row that is exchanged */
  /* What the model gives for each centre besides its energy, by name. "gamma" is the extrapolation grade: above 1, an atom
     is further from those of the training set than any of them. */
  int64_t n_outputs;
  const char *const *output_names;
  /* Members of a committee: models that agree as well with the training set, and differ in the last layer. Their mean is
     the model itself. 0: the file has none. */
  int64_t n_members;
  int64_t n_deviation;           /* size of `deviation` in an evaluation; 0 without members */
} equipot_description;

EQUIPOT_API int equipot_describe(const equipot_model *model, equipot_description *description, char *error,
                                 size_t error_size);

/* An exchange between processes of rows (n_atoms, columns) of numbers of the model's dtype. Returns 0, or another number
   if it failed. `caller` is the pointer of the evaluation. */
typedef int (*equipot_exchange)(void *caller, void *rows, int64_t columns);

/* What the caller does with `member_gradient` of member k. Returns 0, or another number if it failed. */
typedef int (*equipot_member)(void *caller, int64_t k);

/* One evaluation. The caller owns all memory.

   Centres are the atoms whose energies are computed: the first n_centres atoms. The others are ghosts, which stand for
   centres of this or another process. Without ghosts, n_atoms is n_centres and the exchanges may be null. */
typedef struct {
  int64_t size;    /* sizeof of this structure */
  int64_t threads; /* at most; 1 or more */
  int64_t n_centres, n_atoms, n_edges;
  const int64_t *species;     /* (n_atoms) */
  const int64_t *centre;      /* (n_edges) ascending */
  const int64_t *neighbour;   /* (n_edges) */
  const double *edge_vectors; /* (n_edges, 3) Å, r_ij = r_j - r_i, none of zero length */
  const double *positions;    /* (n_atoms, 3) Å, whose differences are the edge vectors; null: no edge_moments */

  equipot_exchange fill_ghosts;    /* copy each centre's row to its ghosts in all processes */
  equipot_exchange collect_ghosts; /* add each ghost's row to the row of its centre */
  void *caller;

  double *energies;      /* (n_centres) eV */
  /* (n_edges, 3) eV/Å, dE/dr_ij, where E is the sum over all processes. Null with edges: not computed, in any process. */
  double *edge_gradient;
  /* (3, n_edges, 3) eV, for x, y and z: the sum over atoms k of (r_k - r_j) dE_k/dr_ij, which the flux of heat needs.
     E_k depends on the edge ij through messages, so k may be several cutoffs away. */
  double *edge_moments;
  /* (n_outputs) arrays of (n_centres) numbers; null, and null for one of them: not computed. */
  double *const *outputs;

  /* (n_deviation) eV; null: not computed. The length of its sum over all processes is the standard deviation of E. */
  double *deviation;
  /* Called for one member of the committee after the other, k = 0 … n_members - 1, with their derivatives in
     member_gradient. Needs edge_gradient, too. Null, in all processes: not computed. */
  equipot_member member;
  double *member_gradient; /* (n_edges, 3) eV/Å, d(E_k - E)/dr_ij */
} equipot_evaluation;

EQUIPOT_API int equipot_evaluate(equipot_model *model, const equipot_evaluation *evaluation, char *error,
                                 size_t error_size);

#ifdef __cplusplus
}
#endif
#endif
