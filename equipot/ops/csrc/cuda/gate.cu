// The gate nonlinearity and its derivatives, see equipot_gating; a thread has one scalar and all that it gates.
// In front of this file: real, DIM_IN, DIM_OUT, N_BLOCKS, CHANNELS = sum of mul, block_rows[N_BLOCKS][6].
#include "arguments.h"

constexpr int BLOCK = 256;

struct Place {
  long long x, out, scalar;    // first element of x and of out, and the scalar
  int dim, mul;
  bool gated, even;
  bool inside;
};

inline Place place(const GateArguments &g)
{
  const long long k = (long long)blockIdx.x * BLOCK + threadIdx.x, atom = k / CHANNELS;
  int channel = (int)(k % CHANNELS), b = 0;
  while (channel >= block_rows[b][2]) channel -= block_rows[b++][2];
  const int *row = block_rows[b];
  Place p;
  p.inside = atom < g.n;
  p.dim = row[1], p.mul = row[2], p.gated = row[4] >= 0, p.even = row[5] != 0;
  p.x = atom * DIM_IN + row[0] + channel;
  p.out = atom * DIM_OUT + row[3] + channel;
  p.scalar = p.gated ? atom * DIM_IN + row[4] + channel : p.x;
  return p;
}

// silu x σ(x) for even scalars, tanh for odd ones, times a constant, and the derivatives.
struct Activation {
  real f, f1, f2;

  inline Activation(real x, bool even, const GateArguments &g)
  {
    if (even) {
      const real s = 1 / (1 + exp(-x)), rest = 1 - s, norm = (real)g.silu;
      f = norm * (x * s);
      f1 = norm * (s * (1 + x * rest));
      f2 = norm * (s * rest * (2 + x * (1 - 2 * s)));
    } else {
      const real t = tanh(x), slope = 1 - t * t, norm = (real)g.tanh;
      f = norm * t;
      f1 = norm * slope;
      f2 = norm * (-2 * t * slope);
    }
  }
};

KERNEL(BLOCK) gate(const GateArguments g)
{
  const Place p = place(g);
  if (!p.inside) return;
  const real *x = (const real *)g.x;
  real *out = (real *)g.out;
  const Activation by(x[p.scalar], p.even, g);
  if (!p.gated) out[p.out] = by.f;
  else
    for (int m = 0; m < p.dim; ++m) out[p.out + m * p.mul] = x[p.x + m * p.mul] * by.f;
}

KERNEL(BLOCK) gate_backward(const GateArguments g)
{
  const Place p = place(g);
  if (!p.inside) return;
  const real *x = (const real *)g.x, *grad = (const real *)g.grad;
  real *dx = (real *)g.dx;
  const Activation by(x[p.scalar], p.even, g);
  if (!p.gated) {
    dx[p.x] = grad[p.out] * by.f1;
    return;
  }
  real product = 0;
  for (int m = 0; m < p.dim; ++m) {
    const real gradient = grad[p.out + m * p.mul];
    product += gradient * x[p.x + m * p.mul];
    dx[p.x + m * p.mul] = gradient * by.f;
  }
  dx[p.scalar] = product * by.f1;
}

// Gradients of <a, dx> with respect to grad and x.
KERNEL(BLOCK) gate_second(const GateArguments g)
{
  const Place p = place(g);
  if (!p.inside) return;
  const real *x = (const real *)g.x, *grad = (const real *)g.grad, *a = (const real *)g.a;
  real *dgrad = (real *)g.dgrad, *dx = (real *)g.dx;
  const Activation by(x[p.scalar], p.even, g);
  const real a_scalar = a[p.scalar], through = a_scalar * by.f1;
  if (!p.gated) {
    dgrad[p.out] = through;
    dx[p.x] = a_scalar * by.f2 * grad[p.out];
    return;
  }
  real with_x = 0, with_a = 0;
  for (int m = 0; m < p.dim; ++m) {
    const real gradient = grad[p.out + m * p.mul], x_m = x[p.x + m * p.mul], a_m = a[p.x + m * p.mul];
    with_x += gradient * x_m;
    with_a += gradient * a_m;
    dgrad[p.out + m * p.mul] = through * x_m + by.f * a_m;
    dx[p.x + m * p.mul] = through * gradient;
  }
  dx[p.scalar] = a_scalar * by.f2 * with_x + by.f1 * with_a;
}
