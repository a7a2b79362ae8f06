// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Encoding is little-endian by construction, the digest big-endian: XXH3's canonical form.
#include "cache/entry.h"

#include "cache/digest.h"

namespace nibble::cache {
namespace {

// The control bytes stop a terminal or a text-mode copy from passing unnoticed.
constexpr std::string_view kMagic("nibble\x1a\n", 8);

void append_little(std::string* out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) *out += static_cast<char>(value >> (8 * i) & 0xff);
}

void append_big(std::string* out, std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) *out += static_cast<char>(value >> shift & 0xff);
}

std::uint64_t read_little(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

std::uint64_t read_big(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

}  // namespace

const char* describe(EntryFault fault) {
  switch (fault) {
    case EntryFault::kNone:
      return "valid";
    case EntryFault::kTooShort:
      return "shorter than the smallest entry";
    case EntryFault::kDigest:
      return "the digest does not match the bytes";
    case EntryFault::kMagic:
      return "no nibble cache entry";
    case EntryFault::kVersion:
      return "of another format version";
    case EntryFault::kSizes:
      return "the sizes of key and payload do not add up to the file";
  }
  return "unknown fault";
}

std::string encode_entry(std::string_view key_text, std::string_view payload) {
  std::string out;
  out.reserve(entry_bytes(key_text.size(), payload.size()));
  out += kMagic;
  append_little(&out, kEntryVersion, 4);
  append_little(&out, key_text.size(), 4);
  append_little(&out, payload.size(), 8);
  out += key_text;
  out += payload;
  const Digest sum = digest(out);
  append_big(&out, sum.high);
  append_big(&out, sum.low);
  return out;
}

EntryView decode_entry(std::string_view bytes) {
  const auto fault = [](EntryFault kind) { return EntryView{kind, {}, {}}; };
  if (bytes.size() < entry_bytes(0, 0)) return fault(EntryFault::kTooShort);
  const std::string_view body = bytes.substr(0, bytes.size() - kEntryDigestBytes);
  const std::string_view sum = bytes.substr(body.size());
  if (digest(body) != Digest{read_big(sum.substr(8)), read_big(sum.substr(0, 8))}) {
    return fault(EntryFault::kDigest);
  }
  if (!body.starts_with(kMagic)) return fault(EntryFault::kMagic);
  if (read_little(body.substr(8, 4)) != kEntryVersion) return fault(EntryFault::kVersion);
  const std::uint64_t key_bytes = read_little(body.substr(12, 4));
  const std::uint64_t payload_bytes = read_little(body.substr(16, 8));
  const std::uint64_t content_bytes = body.size() - kEntryHeaderBytes;
  if (key_bytes > content_bytes || payload_bytes != content_bytes - key_bytes) {
    return fault(EntryFault::kSizes);
  }
  return {EntryFault::kNone, body.substr(kEntryHeaderBytes, key_bytes),
          body.substr(kEntryHeaderBytes + key_bytes)};
}

}  // namespace nibble::cache
