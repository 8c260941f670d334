#include "specialise.h"

#include "../monomials.h"
#include "distribute.h"
#include "sources.h"

#include <cstdio>
#include <stdexcept>

namespace equipot {
namespace cuda {
namespace {

// Words that differ between NVRTC and the tests, which run the same text on a CPU.
const char *const words = R"(#ifndef EQUIPOT_EMULATION
#define KERNEL(threads) extern "C" __global__ void __launch_bounds__(threads)
#define SHARED __shared__
#define CONSTANT __constant__
#define UNROLL _Pragma("unroll")
#define READ(address) __ldg(address)
#endif
)";

std::string text(int64_t number) { return std::to_string(number); }

std::string exact(double number)
{
  char digits[40];
  std::snprintf(digits, sizeof(digits), "real(%.17g)", number);
  return digits;
}

std::string define(const char *name, int64_t value) { return std::string("#define ") + name + " " + text(value) + "\n"; }

std::string real_type(int64_t dtype)
{
  return std::string("typedef ") + (dtype == EQUIPOT_FLOAT64 ? "double" : "float") + " real;\n";
}

// The monomials of a unit vector, and their slopes along d: linear in m, so slopes of slopes are made the same way.
std::string monomial_functions(int l_max)
{
  const char *const unit[] = {"x", "y", "z"}, *const change[] = {"dx", "dy", "dz"};
  const int n = first_monomial(l_max + 1);
  std::string values = "inline void monomials(real x, real y, real z, real *m)\n{\n  m[0] = 1;\n";
  std::string slopes = "inline void slope(const real *m, real dx, real dy, real dz, real *d)\n{\n  d[0] = 0;\n";
  for (int k = 1; k < n; ++k) {
    values += "  m[" + text(k) + "] = m[" + text(monomials[k].parent) + "] * " + unit[monomials[k].factor] + ";\n";
    slopes += "  d[" + text(k) + "] = ";
    const char *plus = "";
    for (int a = 0; a < 3; ++a) {
      if (monomials[k].power[a] == 0) continue;
      slopes += plus + text(monomials[k].power[a]) + " * m[" + text(monomials[k].lower[a]) + "] * " + change[a];
      plus = " + ";
    }
    slopes += ";\n";
  }
  const char *unused = n > 1 ? "" : "  (void)x, (void)y, (void)z;\n";
  const char *unused_too = n > 1 ? "" : "  (void)m, (void)dx, (void)dy, (void)dz;\n";
  return values + unused + "}\n" + slopes + unused_too + "}\n";
}

std::string path_structure(const Path &path, std::size_t number, int matrices)
{
  const int d1 = 2 * path.l_in + 1, d3 = 2 * path.l_out + 1;
  unsigned long long mask[2] = {0, 0};
  std::string code;
  for (int entry = 0; entry < d1 * d3; ++entry) {
    if (path.first_term[entry] == path.first_term[entry + 1]) continue;
    mask[entry / 64] |= 1ull << (entry % 64);
    code += "    to[" + text(entry / d1 * matrices * d1 + entry % d1) + "] = ";
    for (int k = path.first_term[entry]; k < path.first_term[entry + 1]; ++k)
      code += (k > path.first_term[entry] ? " + " : "") + exact(path.terms[k].coefficient) + " * m[" +
              text(path.terms[k].source) + "]";
    code += ";\n";
  }
  if (code.empty()) code = "    (void)m, (void)to;\n";
  return "template <> struct Path<" + text(number) + "> {\n  static constexpr int l_edge = " + text(path.l_edge) +
         ", d1 = " + text(d1) + ", d3 = " + text(d3) + ", out_start = " + text(path.out_start) +
         ", out_stride = " + text(path.out_stride) + ", weight_start = " + text(path.weight_start) +
         ";\n  static constexpr unsigned long long low = " + std::to_string(mask[0]) +
         "ull, high = " + std::to_string(mask[1]) + "ull;\n  static inline void matrix(const real *m, real *to)\n  {\n" +
         code + "  }\n};\n";
}

std::string group_type(const Problem &problem, const Group &group, const Slab &slab)
{
  const Path &first = problem.paths[group.paths[0]];
  std::string type =
      "Group<" + text(first.x_start) + ", " + text(2 * first.l_in + 1) + ", " + text(first.mul);
  for (std::size_t k = 0; k < group.paths.size(); ++k) {
    std::size_t at = 0;
    while (slab.paths[at] != group.paths[k]) ++at;
    type += ", Item<" + text(group.paths[k]) + ", " + text(slab.place[at]) + ", " + text(group.sum[k]) + ">";
  }
  return type + ">";
}

// What each warp does, and who fills which matrices of a tile.
std::string group_functions(const Problem &problem, const Distribution &d)
{
  std::string of_unit, channels, warps, types, cases, slabs;
  for (std::size_t s = 0; s < d.slabs.size(); ++s) {
    const Slab &slab = d.slabs[s];
    int unit = 0;
    for (int g : slab.groups) {
      types += "using Group" + text(g) + " = " + group_type(problem, d.groups[g], slab) + ";\n";
      cases += "    case " + text(g) + ": body(Group" + text(g) + "()); break;\n";
      for (int k = 0; k < d.groups[g].warps; ++k, ++unit) {
        of_unit += text(g) + ", ";
        channels += text(d.groups[g].first_channel + 32 * k) + ", ";
      }
    }
    for (; unit < d.warps; ++unit) of_unit += "-1, ", channels += "0, ";
    warps += text(slab.warps) + ", ";
    slabs += "    case " + text(s) + ":\n      for (int k = threadIdx.x; k < " + text(slab.paths.size()) +
             " * TILE; k += WARPS * 32) {\n        const int s = k % TILE;\n        if (s >= n) continue;\n"
             "        switch (k / TILE) {\n";
    for (std::size_t k = 0; k < slab.paths.size(); ++k)
      slabs += "          case " + text(k) + ": fill<Path<" + text(slab.paths[k]) + ">>(tile, s, tile.matrix[s] + " +
               text(slab.place[k]) + "); break;\n";
    slabs += "        }\n      }\n      break;\n";
  }
  return "CONSTANT int unit_group[] = {" + of_unit + "};\nCONSTANT int unit_channel[] = {" + channels +
         "};\nCONSTANT int slab_warps[] = {" + warps + "};\n" + types +
         "template <class F> inline void with_group(int group, F body)\n{\n  switch (group) {\n" + cases +
         "  }\n}\ninline void fill_all(Tile &tile, int n, int slab)\n{\n  switch (slab) {\n" + slabs + "  }\n}\n";
}

}    // namespace

const char *Kernel::name() const
{
  return sum == Sum::centre ? "by_centre" : sum == Sum::neighbour ? "by_neighbour" : "by_row";
}

std::string embedded(const std::string &name)
{
  for (const Source *source = sources; source->name; ++source) {
    if (name != source->name) continue;
    std::string whole = source->text;
    const std::string include = "\n#include \"";
    for (std::size_t at = 0; (at = whole.find(include, at)) != std::string::npos;) {
      const std::size_t first = at + include.size(), last = whole.find('"', first);
      const std::string wanted = whole.substr(first, last - first);
      if (wanted == "groups") at = last;    // written by `specialise`
      else whole.replace(at, last + 1 - at, "\n" + embedded(wanted));
    }
    return whole;
  }
  throw std::invalid_argument("the library holds no source " + name);
}

Layout specialise(const Problem &problem, const Kernel &kernel)
{
  const Distribution d = distribute(problem, kernel);
  const equipot_convolution &g = problem.given;
  Layout layout{static_cast<int>(d.slabs.size()), d.warps, d.covers_input, ""};
  if (problem.paths.empty()) return layout;
  std::string front = words + real_type(g.dtype);
  front += define("ORDER", g.order) + define("N_WEIGHTS", g.n_weights) + define("DIM_IN", g.dim_in) +
           define("DIM_OUT", g.dim_out) + define("MONOMIALS", first_monomial(problem.l_max + 1)) +
           define("MATRICES", d.matrices) + define("SECOND", kernel.second) + define("WANT_X", kernel.want_x) +
           define("WANT_V", kernel.want_v) + define("TILE", d.tile) + define("SLOT", d.slot) +
           define("WARPS", d.warps) + define("SLABS", layout.slabs) + define("SUMS", d.sums) +
           define("WIDEST", d.widest);
  front += monomial_functions(problem.l_max) + "template <int> struct Path;\n";
  for (std::size_t p = 0; p < problem.paths.size(); ++p) front += path_structure(problem.paths[p], p, d.matrices);

  const char *const file =
      kernel.sum == Sum::centre ? "centre.cu" : kernel.sum == Sum::neighbour ? "neighbour.cu" : "table.cu";
  std::string whole = embedded(file);
  const std::string marker = "#include \"groups\"";
  whole.replace(whole.find(marker), marker.size(), group_functions(problem, d));
  layout.source = front + whole;
  return layout;
}

std::string specialise_rows(const equipot_convolution &g)
{
  return words + real_type(g.dtype) + define("ORDER", g.order) + define("N_WEIGHTS", g.n_weights) + embedded("rows.cu");
}

std::string specialise_gate(const equipot_gating &g)
{
  std::string rows;
  int64_t channels = 0;
  for (int64_t b = 0; b < g.n_blocks; ++b) {
    const int64_t *f = g.blocks + b * EQUIPOT_GATE_FIELDS;
    for (int k = 0; k < EQUIPOT_GATE_FIELDS; ++k) rows += text(f[k]) + ", ";
    channels += f[2];
  }
  return words + real_type(g.dtype) + define("DIM_IN", g.dim_in) + define("DIM_OUT", g.dim_out) +
         define("CHANNELS", channels) + "CONSTANT int block_rows[][6] = {" + rows + "};\n" + embedded("gate.cu");
}

std::string graph_source() { return words + embedded("graph.cu"); }

}    // namespace cuda
}    // namespace equipot
