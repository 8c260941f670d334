/* The functions of engine.h on a GPU. The same structures, with these differences: arrays lie in the GPU's memory,
   except `paths`, `coupling` and `blocks`, which are the host's; `threads` is not read; the graph is taken as
   equipot_cuda_topology makes it and is not checked. Work is put on a stream and the functions return at once.

   Kernels are compiled on their first use for the paths at hand, by NVRTC, and kept on disk; no CUDA is needed to build
   this library. GPUs of compute capability 7.0 and later, as far as the NVRTC at hand serves them. Results are the same
   in every run on one kind of GPU: no sum depends on the order in which threads arrive.

   All functions return 0 or more, or -1 with a sentence in `error`. They may be called from several threads at once. */
#ifndef EQUIPOT_ENGINE_CUDA_H
#define EQUIPOT_ENGINE_CUDA_H

#include "../engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when the structure below or the meaning of an argument changes. */
#define EQUIPOT_CUDA_VERSION 3

typedef struct {
  int64_t size;      /* sizeof of this structure */
  int64_t device;    /* number of the GPU, whose primary context is used */
  void *stream;      /* CUstream; null: the default one */
  void *workspace;   /* scratch in the GPU's memory, as large as equipot_cuda_workspace says, aligned to 256 bytes */
} equipot_cuda;

EQUIPOT_PUBLIC int equipot_cuda_version(void);

/* Load CUDA's driver and NVRTC: those the process has loaded, else from the folder that the environment variable
   EQUIPOT_NVRTC names, else from where wheels and conda put them beside torch, whose folder of packages is `packages`
   (may be null), else the system's. Returns 0 where both are there and a GPU answers. */
EQUIPOT_PUBLIC int equipot_cuda_open(const char *packages, char *error, size_t error_size);

/* What the GPU is called, into `name`. */
EQUIPOT_PUBLIC int equipot_cuda_name(int64_t device, char *name, size_t name_size, char *error, size_t error_size);

/* Returns 0 where kernels compiled here load on this GPU; -1 where, say, NVRTC does not know a GPU that old, or the
   driver is older than NVRTC. */
EQUIPOT_PUBLIC int equipot_cuda_probe(int64_t device, char *error, size_t error_size);

/* Bytes of scratch for equipot_cuda_backward (derivative 1) or equipot_cuda_second (2), by whether dx, dedge_vectors
   and dtable will be computed. */
EQUIPOT_PUBLIC int64_t equipot_cuda_workspace(const equipot_convolution *problem, const equipot_cuda *on,
                                              int64_t derivative, int64_t dx, int64_t dedge_vectors, int64_t dtable,
                                              char *error, size_t error_size);

EQUIPOT_PUBLIC int equipot_cuda_forward(const equipot_convolution *problem, const equipot_cuda *on, void *out,
                                        char *error, size_t error_size);
EQUIPOT_PUBLIC int equipot_cuda_backward(const equipot_convolution *problem, const equipot_cuda *on, const void *grad,
                                         void *dx, void *dedge_vectors, void *dtable, char *error, size_t error_size);
EQUIPOT_PUBLIC int equipot_cuda_second(const equipot_convolution *problem, const equipot_cuda *on, const void *grad,
                                       const void *ax, const void *av, void *dgrad, void *dx, void *dedge_vectors,
                                       void *dtable, char *error, size_t error_size);

EQUIPOT_PUBLIC int equipot_cuda_gate(const equipot_gating *gate, const equipot_cuda *on, const void *x, void *out,
                                     char *error, size_t error_size);
EQUIPOT_PUBLIC int equipot_cuda_gate_backward(const equipot_gating *gate, const equipot_cuda *on, const void *x,
                                              const void *grad, void *dx, char *error, size_t error_size);
EQUIPOT_PUBLIC int equipot_cuda_gate_second(const equipot_gating *gate, const equipot_cuda *on, const void *x,
                                            const void *grad, const void *a, void *dgrad, void *dx, char *error,
                                            size_t error_size);

/* As equipot_topology. Scratch: 4 · (n_edges + n_in + 2) bytes. Waits for the stream, to refuse a wrong graph. */
EQUIPOT_PUBLIC int equipot_cuda_topology(int64_t n_edges, int64_t n_out, int64_t n_in, const equipot_cuda *on,
                                         const int64_t *centre, const int64_t *neighbour, int64_t *rowptr,
                                         int64_t *transpose_rowptr, int64_t *transpose_edges, char *error,
                                         size_t error_size);

/* Compile all kernels of a problem for an architecture (10 · major + minor), with no GPU and no cache, and write what
   the compiler says about them (registers, spills, shared memory) into `report`. */
EQUIPOT_PUBLIC int equipot_cuda_report(const equipot_convolution *problem, int64_t architecture, const char *packages,
                                       char *report, size_t report_size, char *error, size_t error_size);

#ifdef __cplusplus
}
#endif
#endif
