#include "checksum.h"

#include <array>
#include <cstdint>
#include <map>
#include <sstream>
#include <stdexcept>

#include <caffe2/serialize/inline_container.h>

namespace equipot {
namespace {

std::array<std::uint32_t, 256> make_table()
{
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = value & 1 ? 0xedb88320u ^ (value >> 1) : value >> 1;
    table[byte] = value;
  }
  return table;
}

// A little-endian number of `size` bytes.
std::uint64_t number(const std::string &bytes, std::size_t at, int size)
{
  if (at > bytes.size() || bytes.size() - at < static_cast<std::size_t>(size))
    throw std::runtime_error("the archive's directory is cut off");
  std::uint64_t value = 0;
  for (int k = size - 1; k >= 0; --k) value = value << 8 | static_cast<unsigned char>(bytes[at + k]);
  return value;
}

// The CRC-32 of zip archives.
std::uint32_t checksum(const char *data, std::size_t size)
{
  static const std::array<std::uint32_t, 256> table = make_table();
  std::uint32_t value = 0xffffffffu;
  for (std::size_t i = 0; i < size; ++i) value = table[(value ^ static_cast<unsigned char>(data[i])) & 0xff] ^ (value >> 8);
  return ~value;
}

// The checksum of each record, by its name in torch's archive without the common folder.
std::map<std::string, std::uint32_t> checksums(const std::string &archive)
{
  const std::size_t end = archive.rfind(std::string("PK\5\6", 4));
  if (end == std::string::npos) throw std::runtime_error("no zip archive");
  std::uint64_t n_records = number(archive, end + 10, 2), at = number(archive, end + 16, 4);
  // Large archives and those of torch have a second directory end with wider numbers. A locator before the first one
  // holds its position.
  if (end >= 20 && archive.compare(end - 20, 4, std::string("PK\6\7", 4)) == 0) {
    const std::uint64_t wide = number(archive, end - 20 + 8, 8);
    n_records = number(archive, wide + 32, 8);
    at = number(archive, wide + 48, 8);
  }
  std::map<std::string, std::uint32_t> found;
  for (std::uint64_t k = 0; k < n_records; ++k) {
    if (number(archive, at, 4) != 0x02014b50u) throw std::runtime_error("the archive's directory is damaged");
    const std::uint64_t n_name = number(archive, at + 28, 2);
    const std::uint64_t after = n_name + number(archive, at + 30, 2) + number(archive, at + 32, 2);
    number(archive, at + 46 + after, 0);    // throws if the entry is cut off
    const std::string name = archive.substr(at + 46, n_name);
    found[name.substr(name.find('/') + 1)] = static_cast<std::uint32_t>(number(archive, at + 16, 4));
    at += 46 + after;
  }
  return found;
}

}    // namespace

std::string damaged_record(const std::string &bytes)
{
  const auto written = checksums(bytes);
  std::istringstream stream(bytes);
  caffe2::serialize::PyTorchStreamReader archive(&stream);
  for (const std::string &record : archive.getAllRecords()) {
    const auto [data, size] = archive.getRecord(record);
    const auto expected = written.find(record);
    if (expected == written.end() || checksum(static_cast<const char *>(data.get()), size) != expected->second)
      return record;
  }
  return "";
}

}    // namespace equipot
