// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The bytes of one cache entry. The grammar is in cache/README.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nibble::cache {

constexpr std::uint32_t kEntryVersion = 1;
constexpr std::size_t kEntryHeaderBytes = 24;  // magic 8, version 4, key size 4, payload size 8
constexpr std::size_t kEntryDigestBytes = 16;
constexpr std::size_t kLargestEntryBytes = std::size_t{256} << 20;

enum class EntryFault { kNone, kTooShort, kDigest, kMagic, kVersion, kSizes };
const char* describe(EntryFault fault);

// Parts of the bytes given to decode_entry: they live as long as those.
struct EntryView {
  EntryFault fault = EntryFault::kNone;  // where other than kNone the rest is empty
  std::string_view key_text;
  std::string_view payload;
};

// The size of an entry; the key must be shorter than 4 GiB.
constexpr std::size_t entry_bytes(std::size_t key_bytes, std::size_t payload_bytes) {
  return kEntryHeaderBytes + key_bytes + payload_bytes + kEntryDigestBytes;
}

std::string encode_entry(std::string_view key_text, std::string_view payload);

// Checks the digest over everything before it looks at anything.
EntryView decode_entry(std::string_view bytes);

}  // namespace nibble::cache
