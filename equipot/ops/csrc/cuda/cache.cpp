#include "cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace equipot {
namespace cuda {
namespace {

// FNV-1a
std::uint64_t hash(const std::string &text)
{
  std::uint64_t h = 14695981039346656037ull;
  for (unsigned char c : text) h = (h ^ c) * 1099511628211ull;
  return h;
}

std::string digits(std::uint64_t number)
{
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(number));
  return text;
}

std::string folder()
{
  const char *cache = std::getenv("XDG_CACHE_HOME"), *home = std::getenv("HOME");
  if (cache && cache[0] == '/') return std::string(cache) + "/equipot/cuda";
  if (home && home[0] == '/') return std::string(home) + "/.cache/equipot/cuda";
  return "";
}

std::string file(const std::string &key) { return folder() + "/" + digits(hash(key)); }

// In front of the code: lengths, and the hash of what follows.
std::string header(const std::string &key, const std::string &code)
{
  return "equipot kernel 1\n" + std::to_string(key.size()) + " " + std::to_string(code.size()) + " " +
         digits(hash(key + code)) + "\n";
}

}    // namespace

std::string read_cache(const std::string &key)
{
  if (folder().empty()) return "";
  std::ifstream stream(file(key), std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  const std::size_t first = whole.find('\n') + 1, second = first ? whole.find('\n', first) + 1 : 0;
  if (second == 0 || whole.size() < second + key.size()) return "";
  const std::string code = whole.substr(second + key.size());
  return whole == header(key, code) + key + code ? code : "";
}

// Without a folder that can be written to, kernels are compiled anew in every process: slower to start, no failure.
void write_cache(const std::string &key, const std::string &code)
{
  const std::string wanted = folder();
  if (wanted.empty()) return;
  for (std::size_t at = 1; at != std::string::npos;) {
    at = wanted.find('/', at + 1);
    mkdir(wanted.substr(0, at).c_str(), 0700);    // as the XDG specification wants it
  }
  // Written beside it and renamed: others see all of it or nothing. The name is nobody else's, not that of another
  // thread nor of a process with the same number on another machine that shares the folder.
  const std::string target = file(key), whole = header(key, code) + key + code;
  std::string fresh = target + ".XXXXXX";
  const int descriptor = mkstemp(&fresh[0]);
  if (descriptor < 0) return;
  std::FILE *stream = fdopen(descriptor, "wb");
  bool good = stream && std::fwrite(whole.data(), 1, whole.size(), stream) == whole.size();
  if (stream) good = std::fclose(stream) == 0 && good;
  else close(descriptor);
  if (!good || std::rename(fresh.c_str(), target.c_str()) != 0) std::remove(fresh.c_str());
}

}    // namespace cuda
}    // namespace equipot
