// Whether a file holds what was written: a zip archive keeps a checksum of each record, which torch does not look at.
#pragma once

#include <string>

namespace equipot {

// Name of a record of torch's archive whose content is not the one it was written with, or "". Throws when the bytes
// are no complete archive.
std::string damaged_record(const std::string &bytes);

}    // namespace equipot
