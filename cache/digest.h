// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// XXH3-128 digests, and the canonical key text they are taken of. A digest finds accidents: it is
// no authentication.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace nibble::cache {

// A 128-bit XXH3 value.
struct Digest {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend bool operator==(const Digest&, const Digest&) = default;
};

// XXH3-128, seed 0, of all of `bytes`. The same on every machine.
Digest digest(std::string_view bytes);

// 32 lower-case hexadecimal characters, high half first: what `xxhsum -H2` prints.
std::string hex(const Digest& value);

// Builds a text that two different lists of fields never share. Each field is one
//
//   tag ' ' decimal byte count of the value ':' value '\n'
//
// Bytes of a tag other than [A-Za-z0-9_.-] are written as %XX, so every tag is legal. The order of
// the fields is part of the text. A value may hold any bytes. Numbers are written in decimal; the
// type of a value is not recorded, so give one tag one type.
class KeyText {
 public:
  KeyText& add(std::string_view tag, std::string_view value);
  KeyText& add(std::string_view tag, const char* value) {
    return add(tag, std::string_view(value));
  }
  KeyText& add(std::string_view tag, std::integral auto value) {
    return add(tag, std::string_view(std::to_string(value)));
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace nibble::cache
