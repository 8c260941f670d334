// The records of a zip archive in memory that are stored without compression, as torch stores arrays and extra files.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

namespace equipot {

class Archive {
 public:
  // Reads the directory and checks every such record against its checksum. `bytes` must outlive the archive. Throws
  // std::invalid_argument for bytes that are no archive, and for records that are damaged.
  explicit Archive(std::string_view bytes);

  bool has(const std::string &name) const { return names.count(name) > 0; }    // compressed or not
  // By the name without the archive's common folder; throws std::invalid_argument if there is no such record.
  std::string_view record(const std::string &name) const;

 private:
  std::set<std::string> names;
  std::map<std::string, std::string_view> records;
};

}    // namespace equipot
