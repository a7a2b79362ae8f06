// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Digests against published values; key texts against an independent reader of their grammar.
#include "cache/digest.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <utility>
#include <vector>

namespace nibble::cache {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

std::string key_text(const Fields& fields) {
  KeyText key;
  for (const auto& [tag, value] : fields) key.add(tag, value);
  return key.text();
}

// Reads a key text back, by the grammar in the header.
Fields parse(const std::string& text) {
  Fields fields;
  std::size_t at = 0;
  while (at < text.size()) {
    std::string tag;
    for (; text[at] != ' '; ++at) {
      if (text[at] == '%') {
        tag += static_cast<char>(std::stoi(text.substr(at + 1, 2), nullptr, 16));
        at += 2;
      } else {
        tag += text[at];
      }
    }
    const std::size_t colon = text.find(':', at);
    const std::size_t size = std::stoul(text.substr(at + 1, colon - at - 1));
    fields.emplace_back(tag, text.substr(colon + 1, size));
    at = colon + 1 + size;
    EXPECT_EQ(text[at], '\n');
    ++at;
  }
  return fields;
}

TEST(Digest, IsXxh3Of128Bits) {
  // The value of the empty input is that of the XXH3 specification; the other one is xxhsum -H2's.
  EXPECT_EQ(hex(digest("")), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hex(digest("nibble")), "ed53a0c6e08793bca73e1a0bc3e71b1e");
}

TEST(Digest, HexKeepsLeadingZerosAndOrder) {
  EXPECT_EQ(hex({0x0123456789abcdefU, 0x00000000000000feU}), "00000000000000fe0123456789abcdef");
}

TEST(KeyText, IsReadable) {
  KeyText key;
  key.add("target", "sm_100a").add("registers", 255).add("fast", true).add("text", "a\nb");
  EXPECT_EQ(key.text(), "target 7:sm_100a\nregisters 3:255\nfast 1:1\ntext 3:a\nb\n");
}

TEST(KeyText, EscapesTags) {
  EXPECT_EQ(KeyText().add("a b%\xff", "x").text(), "a%20b%25%ff 1:x\n");
}

TEST(KeyText, TellsTrickyListsApart) {
  const std::vector<Fields> lists = {
      {},
      {{"", ""}},
      {{"", ""}, {"", ""}},
      {{"a", "b"}},
      {{"a", ""}, {"b", ""}},
      {{"b", ""}, {"a", ""}},
      {{"a", "b\nc 1:d"}},
      {{"a", "b"}, {"c", "d"}},
      {{"a", "b\n"}, {"c", "d"}},
      {{"a 1", "b"}},
      {{"a%20", "b"}},
      {{"a ", "b"}},
      {{"a", std::string(1, '\0')}},
  };
  std::set<std::string> texts;
  for (const Fields& fields : lists) texts.insert(key_text(fields));
  EXPECT_EQ(texts.size(), lists.size());
}

TEST(KeyText, CanBeReadBack) {
  std::mt19937 random(20260101);
  const std::string alphabet = "a0 :\n%." + std::string(1, '\0') + "\xff";
  const auto word = [&] {
    std::string text;
    for (unsigned n = random() % 6; n > 0; --n) text += alphabet[random() % alphabet.size()];
    return text;
  };
  for (int round = 0; round < 20'000; ++round) {
    Fields fields;
    for (unsigned n = random() % 4; n > 0; --n) fields.emplace_back(word(), word());
    ASSERT_EQ(parse(key_text(fields)), fields);
  }
}

}  // namespace
}  // namespace nibble::cache
