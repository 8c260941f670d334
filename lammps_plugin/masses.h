// The element of a mass.
#pragma once

#include <string>

namespace equipot {

// Symbol of the element with this mass (u) within one per cent, if it is not `symbol`; else empty.
std::string element_of_other_mass(const std::string &symbol, double mass);

}    // namespace equipot
