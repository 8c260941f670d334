// Monomials x^a y^b z^c up to degree 4 of a unit vector, in the order that engine.h describes, and their derivatives.
#pragma once

#include "engine.h"

#include <array>

namespace equipot {

constexpr int n_monomials(int degree) { return (degree + 1) * (degree + 2) / 2; }
constexpr int first_monomial(int degree) { return degree * (degree + 1) * (degree + 2) / 6; }
constexpr int all_monomials = first_monomial(EQUIPOT_L_MAX + 1);

struct Monomial {
  int power[3];    // of x, y, z
  int lower[3];    // the monomial with that power one less, where there is one; else 0
  int parent;      // monomial of the degree below,
  int factor;      // and the coordinate that multiplies it
};

constexpr std::array<Monomial, all_monomials> make_monomials()
{
  std::array<Monomial, all_monomials> m{};
  for (int degree = 1, k = 1; degree <= EQUIPOT_L_MAX; ++degree) {
    const int below = first_monomial(degree - 1), end = first_monomial(degree);
    for (int axis = 0; axis < 3; ++axis)
      for (int p = below; p < end; ++p) {
        // x times everything, y times what has no x, z times the pure power of z
        bool skip = (axis > 0 && m[p].power[0] > 0) || (axis > 1 && m[p].power[1] > 0);
        if (skip) continue;
        m[k] = m[p];
        ++m[k].power[axis];
        m[k].parent = p;
        m[k].factor = axis;
        ++k;
      }
  }
  for (int k = 1; k < all_monomials; ++k)
    for (int axis = 0; axis < 3; ++axis) {
      m[k].lower[axis] = 0;
      for (int p = 0; p < k; ++p) {
        bool match = true;
        for (int b = 0; b < 3; ++b) match = match && m[p].power[b] == m[k].power[b] - (b == axis ? 1 : 0);
        if (match) m[k].lower[axis] = p;
      }
    }
  return m;
}

constexpr std::array<Monomial, all_monomials> monomials = make_monomials();

}    // namespace equipot
