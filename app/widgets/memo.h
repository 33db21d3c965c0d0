// What a panel prepares once and draws many times: a layout, a trace. Made again when what it depends on has changed.
#pragma once

#include <any>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace glassbox {

// One value a key, so it grows with the number of panels and not with what is typed. Belongs to one window.
class Memo {
 public:
  // The value that `make` returned for this version; `make` is called when the version differs from the last call's.
  // Precondition: a key always comes with the same T.
  template <class T, class Make>
  std::shared_ptr<const T> get(std::string_view key, uint64_t version, Make&& make) {
    auto it = entries_.find(key);
    if (it == entries_.end()) it = entries_.emplace(std::string(key), Entry{}).first;
    Entry& entry = it->second;
    if (!entry.value.has_value() || entry.version != version) {
      entry.value = std::shared_ptr<const T>(std::make_shared<T>(make()));
      entry.version = version;
    }
    return std::any_cast<const std::shared_ptr<const T>&>(entry.value);
  }

 private:
  struct Entry {
    uint64_t version = 0;
    std::any value;
  };
  std::map<std::string, Entry, std::less<>> entries_;
};

// Versions are hashes of all that a value depends on: hash_text(text), then mix_version(…) with each further part.
inline uint64_t mix_version(uint64_t version, uint64_t part) {
  // The finisher of splitmix64 (Steele, Lea and Flood 2014) over both parts.
  uint64_t x = version + 0x9E3779B97F4A7C15u + part * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}
inline uint64_t hash_text(std::string_view text) { return std::hash<std::string_view>{}(text); }
inline uint64_t hash_ids(std::span<const int32_t> ids) {
  return hash_text({reinterpret_cast<const char*>(ids.data()), ids.size_bytes()});
}

}  // namespace glassbox
