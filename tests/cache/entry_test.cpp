// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The bytes of an entry, and that no damage to them passes.
#include "cache/entry.h"

#include <gtest/gtest.h>

#include "cache/digest.h"

namespace nibble::cache {
namespace {

constexpr std::string_view kKey("k 1:\n\n", 6);
constexpr std::string_view kPayload("\x00\xffpay", 5);

// 24 header bytes, key, payload, then XXH3-128 as xxhsum -H2 prints it for what comes before.
const std::string kGolden(
    "nibble\x1a\n"                      // magic
    "\x01\x00\x00\x00"                  // version
    "\x06\x00\x00\x00"                  // key size
    "\x05\x00\x00\x00\x00\x00\x00\x00"  // payload size
    "k 1:\n\n"
    "\x00\xff"
    "pay"
    "\x4d\x51\xec\x87\x2d\xf4\x38\x7a\xe1\x17\x73\x05\xb9\xcc\x12\xa8",
    51);

TEST(Entry, HasTheGoldenBytes) { EXPECT_EQ(encode_entry(kKey, kPayload), kGolden); }

TEST(Entry, IsReadBack) {
  const EntryView entry = decode_entry(kGolden);
  EXPECT_EQ(entry.fault, EntryFault::kNone);
  EXPECT_EQ(entry.key_text, kKey);
  EXPECT_EQ(entry.payload, kPayload);
  const std::string empty = encode_entry("", "");
  EXPECT_EQ(empty.size(), entry_bytes(0, 0));
  EXPECT_EQ(decode_entry(empty).fault, EntryFault::kNone);
}

TEST(Entry, EveryBitFlipIsRejected) {
  for (std::size_t at = 0; at < kGolden.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = kGolden;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      EXPECT_EQ(decode_entry(damaged).fault, EntryFault::kDigest) << at;
    }
  }
}

TEST(Entry, EveryTruncationAndExtensionIsRejected) {
  for (std::size_t size = 0; size < kGolden.size(); ++size) {
    EXPECT_NE(decode_entry(std::string_view(kGolden).substr(0, size)).fault, EntryFault::kNone);
    std::string zero_tail = kGolden;
    zero_tail.replace(size, std::string::npos, kGolden.size() - size, '\0');
    EXPECT_NE(decode_entry(zero_tail).fault, EntryFault::kNone) << size;
    EXPECT_NE(decode_entry(kGolden + kGolden.substr(0, size + 1)).fault, EntryFault::kNone);
  }
  EXPECT_EQ(decode_entry("").fault, EntryFault::kTooShort);
}

// A valid digest does not make a file ours: what is under it is checked too.
TEST(Entry, SignedNonsenseIsRejected) {
  const std::string body = kGolden.substr(0, kGolden.size() - kEntryDigestBytes);
  const auto fault_with = [&](std::size_t at, char value) {
    std::string changed = body;
    changed[at] = value;
    const Digest sum = digest(changed);
    for (const std::uint64_t half : {sum.high, sum.low}) {
      for (int shift = 56; shift >= 0; shift -= 8) changed += static_cast<char>(half >> shift);
    }
    return decode_entry(changed).fault;
  };
  EXPECT_EQ(fault_with(0, 'n'), EntryFault::kNone);  // unchanged: the signing itself is right
  EXPECT_EQ(fault_with(0, 'N'), EntryFault::kMagic);
  EXPECT_EQ(fault_with(8, 2), EntryFault::kVersion);
  EXPECT_EQ(fault_with(12, 5), EntryFault::kSizes);
  EXPECT_EQ(fault_with(12, 12), EntryFault::kSizes);
  EXPECT_EQ(fault_with(15, '\xff'), EntryFault::kSizes);
  EXPECT_EQ(fault_with(16, 6), EntryFault::kSizes);
  EXPECT_EQ(fault_with(23, '\xff'), EntryFault::kSizes);
}

}  // namespace
}  // namespace nibble::cache
