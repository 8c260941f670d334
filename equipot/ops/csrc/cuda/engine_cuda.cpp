// The C functions for GPUs: check what can be checked from the host, keep exceptions inside.
#include "engine_cuda.h"

#include "../guarded.h"
#include "compile.h"
#include "driver.h"
#include "graph.h"
#include "nodes.h"
#include "steps.h"

#include <cstdio>
#include <stdexcept>

using namespace equipot::cuda;
using equipot::guarded;

namespace {

// Checked on every call; the paths when their kernels are made.
void check(const equipot_convolution &problem)
{
  equipot::check_sizes(problem);
  if (problem.n_in < 0 || problem.n_out < 0 || problem.n_edges < 0)
    throw std::invalid_argument("the graph has a negative size");
  if (problem.n_edges > INT32_MAX || problem.n_in > INT32_MAX || problem.n_out > INT32_MAX)
    throw std::invalid_argument("the graph is too large for a GPU");
}

}    // namespace

extern "C" {

int equipot_cuda_version(void) { return EQUIPOT_CUDA_VERSION; }

int equipot_cuda_open(const char *packages, char *error, size_t error_size)
{
  return guarded(error, error_size, [&] {
    if (packages) search(packages);
    driver();
    compiler();
  });
}

int equipot_cuda_name(int64_t device, char *name, size_t name_size, char *error, size_t error_size)
{
  return guarded(error, error_size, [&] {
    int handle = 0;
    driver().check(driver().device_get(&handle, static_cast<int>(device)), "finding the GPU");
    driver().check(driver().device_name(name, static_cast<int>(name_size), handle), "asking the GPU");
  });
}

int equipot_cuda_probe(int64_t device, char *error, size_t error_size)
{
  return guarded(error, error_size, [&] {
    const Current current(device);
    load("graph", graph_source, device);    // the smallest ones, which every model needs
  });
}

int64_t equipot_cuda_workspace(const equipot_convolution *problem, const equipot_cuda *on, int64_t derivative, int64_t dx,
                               int64_t dedge_vectors, int64_t dtable, char *error, size_t error_size)
{
  int64_t bytes = 0;
  const int status = guarded(error, error_size, [&] {
    check(*problem);
    const Current current(*on);
    bytes = workspace(*problem, *on, derivative == 2, dx != 0, dedge_vectors != 0, dtable != 0);
  });
  return status < 0 ? status : bytes;
}

int equipot_cuda_forward(const equipot_convolution *problem, const equipot_cuda *on, void *out, char *error,
                         size_t error_size)
{
  return guarded(error, error_size, [&] {
    check(*problem);
    const Current current(*on);
    forward(*problem, *on, out);
  });
}

int equipot_cuda_backward(const equipot_convolution *problem, const equipot_cuda *on, const void *grad, void *dx,
                          void *dedge_vectors, void *dtable, char *error, size_t error_size)
{
  return guarded(error, error_size, [&] {
    check(*problem);
    const Current current(*on);
    backward(*problem, *on, grad, dx, dedge_vectors, dtable);
  });
}

int equipot_cuda_second(const equipot_convolution *problem, const equipot_cuda *on, const void *grad, const void *ax,
                        const void *av, void *dgrad, void *dx, void *dedge_vectors, void *dtable, char *error,
                        size_t error_size)
{
  return guarded(error, error_size, [&] {
    check(*problem);
    const Current current(*on);
    second(*problem, *on, grad, ax, av, dgrad, dx, dedge_vectors, dtable);
  });
}

int equipot_cuda_gate(const equipot_gating *given, const equipot_cuda *on, const void *x, void *out, char *error,
                      size_t error_size)
{
  return guarded(error, error_size, [&] {
    GateArguments a{};
    a.x = x, a.out = out;
    gate(*given, *on, "gate", a);
  });
}

int equipot_cuda_gate_backward(const equipot_gating *given, const equipot_cuda *on, const void *x, const void *grad,
                               void *dx, char *error, size_t error_size)
{
  return guarded(error, error_size, [&] {
    GateArguments a{};
    a.x = x, a.grad = grad, a.dx = dx;
    gate(*given, *on, "gate_backward", a);
  });
}

int equipot_cuda_gate_second(const equipot_gating *given, const equipot_cuda *on, const void *x, const void *grad,
                             const void *a, void *dgrad, void *dx, char *error, size_t error_size)
{
  return guarded(error, error_size, [&] {
    GateArguments all{};
    all.x = x, all.grad = grad, all.a = a, all.dgrad = dgrad, all.dx = dx;
    gate(*given, *on, "gate_second", all);
  });
}

int equipot_cuda_topology(int64_t n_edges, int64_t n_out, int64_t n_in, const equipot_cuda *on, const int64_t *centre,
                          const int64_t *neighbour, int64_t *rowptr, int64_t *transpose_rowptr,
                          int64_t *transpose_edges, char *error, size_t error_size)
{
  return guarded(error, error_size, [&] {
    sort_graph(n_edges, n_out, n_in, *on, centre, neighbour, rowptr, transpose_rowptr, transpose_edges);
  });
}

int equipot_cuda_report(const equipot_convolution *problem, int64_t architecture, const char *packages, char *report,
                        size_t report_size, char *error, size_t error_size)
{
  return guarded(error, error_size, [&] {
    if (packages) search(packages);
    check(*problem);
    const equipot::Problem decoded(*problem, false);
    std::string all;
    auto add = [&](const std::string &name, const std::string &source) {
      std::string log;
      if (!source.empty()) compile_anew(source, static_cast<int>(architecture), &log);
      all += "# " + name + "\n" + log;
    };
    for (bool is_second : {false, true}) {
      const std::string order = is_second ? "second " : "first ";
      add(order + "by_centre", specialise(decoded, {Sum::centre, is_second, false, false}).source);
      add(order + "by_neighbour x", specialise(decoded, {Sum::neighbour, is_second, true, false}).source);
      add(order + "by_neighbour x v", specialise(decoded, {Sum::neighbour, is_second, true, true}).source);
      add(order + "by_row", specialise(decoded, {Sum::row, is_second, false, false}).source);
    }
    add("rows", specialise_rows(*problem));
    add("graph", graph_source());
    if (report && report_size > 0) std::snprintf(report, report_size, "%s", all.c_str());
  });
}

}    // extern "C"
