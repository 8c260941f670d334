// Checks that a file is intact: a zip archive stores a checksum of each record, which torch does not check.
#pragma once

#include <string>

namespace equipot {

// Name of a record of torch's archive whose content does not match its checksum, or "". Throws when the bytes are not a
// complete archive.
std::string damaged_record(const std::string &bytes);

}    // namespace equipot
