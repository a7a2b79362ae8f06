// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The only user of xxHash, compiled into this file: nothing of it shows in a header or at link
// time.
#include "cache/digest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace nibble::cache {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

bool plain_in_tag(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-';
}

}  // namespace

Digest digest(std::string_view bytes) {
  const XXH128_hash_t value = XXH3_128bits(bytes.data(), bytes.size());
  return {value.low64, value.high64};
}

std::string hex(const Digest& value) {
  std::string text;
  text.reserve(32);
  for (const std::uint64_t half : {value.high, value.low}) {
    for (int shift = 60; shift >= 0; shift -= 4) text += kHexDigits[(half >> shift) & 15];
  }
  return text;
}

KeyText& KeyText::add(std::string_view tag, std::string_view value) {
  for (const char c : tag) {
    if (plain_in_tag(c)) {
      text_ += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      text_ += '%';
      text_ += kHexDigits[byte >> 4];
      text_ += kHexDigits[byte & 15];
    }
  }
  text_ += ' ';
  text_ += std::to_string(value.size());
  text_ += ':';
  text_ += value;
  text_ += '\n';
  return *this;
}

}  // namespace nibble::cache
