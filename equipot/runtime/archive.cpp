#include "archive.h"

#include <array>
#include <cstdint>
#include <stdexcept>

namespace equipot {
namespace {

// CRC-32 of zip archives, eight bytes at a time (Kounavis and Berry, 2005).
using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

Tables make_tables()
{
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = value & 1 ? 0xedb88320u ^ (value >> 1) : value >> 1;
    tables[0][byte] = value;
  }
  for (std::size_t k = 1; k < 8; ++k)
    for (std::size_t byte = 0; byte < 256; ++byte)
      tables[k][byte] = tables[0][tables[k - 1][byte] & 0xff] ^ (tables[k - 1][byte] >> 8);
  return tables;
}

std::uint32_t checksum(std::string_view data)
{
  static const Tables t = make_tables();
  std::uint32_t value = 0xffffffffu;
  auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(data[i])); };
  std::size_t i = 0;
  for (; i + 8 <= data.size(); i += 8) {
    const std::uint32_t low = value ^ (byte(i) | byte(i + 1) << 8 | byte(i + 2) << 16 | byte(i + 3) << 24);
    value = t[7][low & 0xff] ^ t[6][low >> 8 & 0xff] ^ t[5][low >> 16 & 0xff] ^ t[4][low >> 24] ^ t[3][byte(i + 4)] ^
            t[2][byte(i + 5)] ^ t[1][byte(i + 6)] ^ t[0][byte(i + 7)];
  }
  for (; i < data.size(); ++i) value = t[0][(value ^ byte(i)) & 0xff] ^ (value >> 8);
  return ~value;
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes(bytes) {}

  // A little-endian number of `size` bytes.
  std::uint64_t number(std::uint64_t at, int size) const
  {
    const std::string_view part = range(at, static_cast<std::uint64_t>(size));
    std::uint64_t value = 0;
    for (int k = size - 1; k >= 0; --k) value = value << 8 | static_cast<unsigned char>(part[k]);
    return value;
  }

  std::string_view range(std::uint64_t at, std::uint64_t size) const
  {
    if (at > bytes.size() || bytes.size() - at < size) throw std::invalid_argument("the archive is cut off");
    return bytes.substr(at, size);
  }

 private:
  std::string_view bytes;
};

struct Directory {
  std::uint64_t n_records, at;
};

Directory directory(std::string_view bytes, const Reader &read)
{
  const std::size_t end = bytes.rfind(std::string_view("PK\5\6", 4));
  if (end == std::string_view::npos) throw std::invalid_argument("it is no archive");
  constexpr std::uint64_t size_of_end = 22;    // without the comment, whose length it has
  if (bytes.size() - end != size_of_end + read.number(end + 20, 2)) throw std::invalid_argument("the archive is cut off");
  // Large archives and those of torch have a second directory end with wider numbers. A locator before the first one
  // holds its position.
  if (end >= 20 && bytes.substr(end - 20, 4) == std::string_view("PK\6\7", 4)) {
    const std::uint64_t wide = read.number(end - 20 + 8, 8);
    return {read.number(wide + 32, 8), read.number(wide + 48, 8)};
  }
  return {read.number(end + 10, 2), read.number(end + 16, 4)};
}

}    // namespace

Archive::Archive(std::string_view bytes)
{
  const Reader read(bytes);
  auto [n_records, at] = directory(bytes, read);
  for (std::uint64_t k = 0; k < n_records; ++k) {
    if (read.number(at, 4) != 0x02014b50u) throw std::invalid_argument("the archive's directory is damaged");
    const std::uint64_t method = read.number(at + 10, 2), size = read.number(at + 20, 4), start = read.number(at + 42, 4);
    const std::uint64_t n_name = read.number(at + 28, 2), expected = read.number(at + 16, 4);
    const std::string path(read.range(at + 46, n_name));
    const std::string name = path.substr(path.find('/') + 1);
    at += 46 + n_name + read.number(at + 30, 2) + read.number(at + 32, 2);
    names.insert(name);
    if (method != 0) continue;    // torch compresses its code, which is not for this runtime
    if (size == 0xffffffffu || start == 0xffffffffu)
      throw std::invalid_argument("its record '" + name + "' has more than 4 GB");
    if (read.number(start, 4) != 0x04034b50u) throw std::invalid_argument("its record '" + name + "' is damaged");
    const std::uint64_t before = 30 + read.number(start + 26, 2) + read.number(start + 28, 2);
    const std::string_view content = read.range(start + before, size);
    if (checksum(content) != expected)
      throw std::invalid_argument("its record '" + name + "' is not what was written");
    records[name] = content;
  }
}

std::string_view Archive::record(const std::string &name) const
{
  const auto entry = records.find(name);
  if (entry == records.end()) throw std::invalid_argument("it has no record '" + name + "'");
  return entry->second;
}

}    // namespace equipot
