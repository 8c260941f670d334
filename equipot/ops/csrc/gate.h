// The gate nonlinearity: scalars pass an activation f, components of higher irreps are multiplied by f of a scalar.
#pragma once

#include "chunk.h"

namespace equipot {
namespace EQUIPOT_ISA_NAME {

// e^x to the last bit or two: 2^k times the Taylor polynomial on |r| <= ln 2 / 2.
template <class T> EQUIPOT_INLINE Vec<T> exponential(Vec<T> x)
{
  constexpr bool single = sizeof(T) == 4;
  using Integer = std::conditional_t<single, std::int32_t, std::int64_t>;
  typedef Integer Integers __attribute__((vector_size(vector_bytes)));
  constexpr T limit = single ? T(87) : T(700);
  x = x < -limit ? Vec<T>{} - limit : x;
  x = x > limit ? Vec<T>{} + limit : x;
  // Adding and taking away a large number rounds to the nearest integer.
  constexpr T large = single ? T(12582912) : T(6755399441055744.0);
  Vec<T> k = x * T(1.4426950408889634074) + large;
  const Integers bits = reinterpret_cast<Integers>(k);
  k = k - large;
  // ln 2 in two parts, the first with few enough digits for k times it to be exact.
  constexpr T high = single ? T(0.693359375) : T(6.93147180369123816490e-01);
  constexpr T low = single ? T(-2.12194440e-4) : T(1.90821492927058770002e-10);
  const Vec<T> r = (x - k * high) - k * low;
  constexpr int degree = single ? 7 : 13;
  Vec<T> sum = Vec<T>{} + T(1);
  EQUIPOT_UNROLL for (int d = degree; d > 0; --d) sum = sum * r * (T(1) / static_cast<T>(d)) + T(1);
  constexpr int mantissa = single ? 23 : 52;
  // The last bits of `bits` are k; shifted into the exponent they multiply by 2^k.
  return reinterpret_cast<Vec<T>>(reinterpret_cast<Integers>(sum) + (bits << mantissa));
}

// The activation and its derivatives: silu x σ(x) for even scalars, tanh for odd ones, times a constant.
template <class T> struct Activation {
  Vec<T> f, f1, f2;

  EQUIPOT_INLINE Activation(Vec<T> x, bool even, T silu, T tanh)
  {
    const Vec<T> s = T(1) / (T(1) + exponential<T>(even ? -x : T(-2) * x));
    if (even) {
      const Vec<T> rest = T(1) - s;
      f = silu * (x * s);
      f1 = silu * (s * (T(1) + x * rest));
      f2 = silu * (s * rest * (T(2) + x * (T(1) - T(2) * s)));
    } else {
      const Vec<T> t = T(2) * s - T(1), slope = T(1) - t * t;
      f = tanh * t;
      f1 = tanh * slope;
      f2 = tanh * (T(-2) * t * slope);
    }
  }
};

struct GateBlock {
  int64_t x_start, dim, mul, out_start, gate_start, even;
};

// One atom's row of x to its row of out.
template <class T> void gate_row(const equipot_gating &gate, const T *x, T *out)
{
  const GateBlock *blocks = reinterpret_cast<const GateBlock *>(gate.blocks);
  for (int64_t b = 0; b < gate.n_blocks; ++b) {
    const GateBlock &block = blocks[b];
    const bool gated = block.gate_start >= 0;
    for (int64_t c = 0; c < block.mul; c += lanes<T>) {
      const int n = static_cast<int>(std::min<int64_t>(lanes<T>, block.mul - c));
      const Activation<T> by(load(x + (gated ? block.gate_start : block.x_start) + c, n), block.even != 0,
                             static_cast<T>(gate.silu), static_cast<T>(gate.tanh));
      if (!gated) {
        store(out + block.out_start + c, by.f, n);
        continue;
      }
      for (int64_t m = 0; m < block.dim; ++m)
        store(out + block.out_start + m * block.mul + c, load(x + block.x_start + m * block.mul + c, n) * by.f, n);
    }
  }
}

template <class T> void gate_row_backward(const equipot_gating &gate, const T *x, const T *grad, T *dx)
{
  const GateBlock *blocks = reinterpret_cast<const GateBlock *>(gate.blocks);
  for (int64_t b = 0; b < gate.n_blocks; ++b) {
    const GateBlock &block = blocks[b];
    const bool gated = block.gate_start >= 0;
    for (int64_t c = 0; c < block.mul; c += lanes<T>) {
      const int n = static_cast<int>(std::min<int64_t>(lanes<T>, block.mul - c));
      const Activation<T> by(load(x + (gated ? block.gate_start : block.x_start) + c, n), block.even != 0,
                             static_cast<T>(gate.silu), static_cast<T>(gate.tanh));
      if (!gated) {
        store(dx + block.x_start + c, load(grad + block.out_start + c, n) * by.f1, n);
        continue;
      }
      Vec<T> product{};
      for (int64_t m = 0; m < block.dim; ++m) {
        const Vec<T> g = load(grad + block.out_start + m * block.mul + c, n);
        product += g * load(x + block.x_start + m * block.mul + c, n);
        store(dx + block.x_start + m * block.mul + c, g * by.f, n);
      }
      store(dx + block.gate_start + c, product * by.f1, n);
    }
  }
}

// Gradients of <a, dx> with respect to grad and x.
template <class T> void gate_row_second(const equipot_gating &gate, const T *x, const T *grad, const T *a, T *dgrad, T *dx)
{
  const GateBlock *blocks = reinterpret_cast<const GateBlock *>(gate.blocks);
  for (int64_t b = 0; b < gate.n_blocks; ++b) {
    const GateBlock &block = blocks[b];
    const bool gated = block.gate_start >= 0;
    for (int64_t c = 0; c < block.mul; c += lanes<T>) {
      const int n = static_cast<int>(std::min<int64_t>(lanes<T>, block.mul - c));
      const int64_t scalar = (gated ? block.gate_start : block.x_start) + c;
      const Activation<T> by(load(x + scalar, n), block.even != 0, static_cast<T>(gate.silu),
                             static_cast<T>(gate.tanh));
      const Vec<T> a_scalar = load(a + scalar, n);
      if (!gated) {
        store(dgrad + block.out_start + c, a_scalar * by.f1, n);
        store(dx + scalar, a_scalar * by.f2 * load(grad + block.out_start + c, n), n);
        continue;
      }
      Vec<T> with_x{}, with_a{};
      const Vec<T> through_gate = a_scalar * by.f1;
      for (int64_t m = 0; m < block.dim; ++m) {
        const int64_t in = block.x_start + m * block.mul + c, to = block.out_start + m * block.mul + c;
        const Vec<T> g = load(grad + to, n), x_m = load(x + in, n), a_m = load(a + in, n);
        with_x += g * x_m;
        with_a += g * a_m;
        store(dgrad + to, through_gate * x_m + by.f * a_m, n);
        store(dx + in, through_gate * g, n);
      }
      store(dx + scalar, a_scalar * by.f2 * with_x + by.f1 * with_a, n);
    }
  }
}

}    // namespace EQUIPOT_ISA_NAME
}    // namespace equipot
