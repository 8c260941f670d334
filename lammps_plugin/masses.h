// Which element a mass belongs to.
#pragma once

#include <string>

namespace equipot {

// Symbol of the element that has this mass (u), to a percent, where `symbol` has another; else empty.
std::string element_of_other_mass(const std::string &symbol, double mass);

}    // namespace equipot
