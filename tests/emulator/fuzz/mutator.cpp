// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/emulator/fuzz/mutator.h"

#include <cctype>
#include <utility>

namespace nibble::fuzz {
namespace {

constexpr size_t kLongest = 1 << 16;  // bytes of an input

struct Span {
  size_t begin = 0, size = 0;
};

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$' || c == '%' ||
         c == '.' || c == ':';
}

// The word or the mark around a random place.
Span word_in(const std::string& text, Random& random) {
  if (text.empty()) return {};
  size_t begin = random.below(text.size());
  size_t end = begin + 1;
  if (!is_word(text[begin])) return {begin, 1};
  while (begin > 0 && is_word(text[begin - 1])) --begin;
  while (end < text.size() && is_word(text[end])) ++end;
  return {begin, end - begin};
}

// The line around a random place, its end included.
Span line_in(const std::string& text, Random& random) {
  if (text.empty()) return {};
  const size_t at = random.below(text.size());
  const size_t before = at == 0 ? std::string::npos : text.rfind('\n', at - 1);
  const size_t begin = before == std::string::npos ? 0 : before + 1;
  const size_t after = text.find('\n', at);
  return {begin, (after == std::string::npos ? text.size() : after + 1) - begin};
}

std::string any_number(Random& random) {
  const uint64_t value = random.number();
  switch (random.below(8)) {
    case 0:
      return "0x" + std::to_string(value);  // not the same value, a number though
    case 1:
      return "-" + std::to_string(value);
    case 2:
      return "0f" + std::to_string(10000000 + value % 90000000);
    case 3:
      return std::to_string(value) + "U";
    case 4:
      return "99999999999999999999";
    default:
      return std::to_string(value);
  }
}

std::string repeated(std::string_view piece, size_t times) {
  std::string text;
  while (times-- > 0) text += piece;
  return text;
}

// What opens something, many times; at times with its end.
std::string nest(Random& random) {
  static constexpr std::pair<const char*, const char*> kPairs[] = {
      {"{", "}"},   {"(", ")"}, {"[", "]"}, {"-", ""},    {"{{}", "}"},
      {"(1+", ")"}, {"!", ""},  {"~", ""},  {"1?", ":1"}, {"{.reg .b32 x;", "}"},
      {"/*", "*/"}, {".v4", ""}};
  const auto& [open, close] = random.pick(kPairs);
  const size_t depth = random.one_in(4) ? 150 + random.below(200) : 1 + random.below(8);
  return repeated(open, depth) + (random.one_in(2) ? "1" + repeated(close, depth) : "");
}

const char* fragment(Random& random) {
  static constexpr const char* kFragments[] = {
      ".global .b8 big[99999999999];\n",
      ".shared .align 1024 .b8 s[300000];\n",
      ".local .b8 l[4294967296];\n",
      ".param .b8 q[70000];\n",
      ".reg .b128 %z<50000>;\n",
      ".reg .v4 .f32 %v<9>;\n",
      ".extern .shared .b8 e[];\n",
      ".const .b64 c[3] = {1,2,3};\n",
      ".maxntid 4294967295, 4294967295, 4294967295\n",
      ".reqnctapercluster 2, 1, 1\n",
      ".reqntid 32\n",
      ".loc 1 1 1\n",
      ".file 65536 \"x\"\n",
      "bra L;\n",
      "L:\n",
      "T: .branchtargets L, L;\n",
      "P: .callprototype (.param .b32 _) _ (.param .b64 _);\n",
      "call (r), f, (a, b);\n",
      "mov.b64 {%r1, %r2}, %rd1;\n",
      "mov.b32 {}, %r1;\n",
      "exit;\n",
      "bar.sync 0;\n",
      "@%p1 ",
      "@!%p1 ",
      "|%p1",
      "{%r1, %r2, %r3, %r4}",
      "[%rd1+2147483647]",
      "[%rd1+-8]",
      "%tid.x",
      "%clock64",
      "%laneid",
      "_",
      "WARP_SZ",
      "0f7F800000",
      "0dFFF0000000000000",
      "1e308",
      "generic(x)+4",
      "0xFF00(x)",
      ".v8",
      ".b128",
      ".shared::cluster",
      ".pred",
      "\0",
      "\xFF",
      "\t",
      ";",
      ",",
      "#",
      "\"",
      "'"};
  return random.pick(kFragments);
}

}  // namespace

const std::string& Mutator::seed(Random& random) const {
  const std::string* best = &random.pick(seeds_);
  if (random.one_in(8)) return *best;
  for (int i = 0; i < 8; ++i) {
    const std::string& other = random.pick(seeds_);
    if (other.size() < best->size()) best = &other;
  }
  return *best;
}

void Mutator::change_word(std::string& text, Random& random) const {
  const Span word = word_in(text, random);
  switch (random.below(4)) {
    case 0: {
      const std::string& other = random.pick(seeds_);
      const Span theirs = word_in(other, random);
      text.replace(word.begin, word.size, other, theirs.begin, theirs.size);
      break;
    }
    case 1: {
      const Span other = word_in(text, random);
      const std::string theirs = text.substr(other.begin, other.size);
      text.replace(word.begin, word.size, theirs);
      break;
    }
    case 2:
      text.erase(word.begin, word.size);
      break;
    default:
      text.replace(word.begin, word.size, fragment(random));
  }
}

void Mutator::change_line(std::string& text, Random& random) const {
  const Span line = line_in(text, random);
  const std::string copy = text.substr(line.begin, line.size);
  switch (random.below(4)) {
    case 0:
      text.erase(line.begin, line.size);
      break;
    case 1:
      text.insert(line.begin, copy);
      break;
    case 2:
      text.erase(line.begin, line.size);
      text.insert(line_in(text, random).begin, copy);
      break;
    default: {
      const std::string& other = random.pick(seeds_);
      const Span theirs = line_in(other, random);
      text.insert(line.begin, other, theirs.begin, theirs.size);
    }
  }
}

void Mutator::splice(std::string& text, Random& random) const {
  const std::string& other = random.pick(seeds_);
  const size_t from = line_in(other, random).begin;
  text.resize(line_in(text, random).begin);
  text.append(other, from);
}

void Mutator::change(std::string& text, Random& random) const {
  const size_t at = random.below(text.size() + 1);
  switch (random.below(14)) {
    case 0:
      if (at < text.size()) text[at] = static_cast<char>(text[at] ^ 1 << random.below(8));
      break;
    case 1:
      text.insert(at, 1, static_cast<char>(random.below(256)));
      break;
    case 2:
      text.erase(at, 1 + random.below(40));
      break;
    case 3:
      text.insert(at, text, random.below(text.size()), random.below(60));
      break;
    case 4:
      text.insert(at, fragment(random));
      break;
    case 5:
      text.insert(at, nest(random));
      break;
    case 6:
      if (random.one_in(8)) {
        const Span line = line_in(text, random);
        text.insert(line.begin, repeated(text.substr(line.begin, line.size), random.below(60)));
      }
      break;
    case 7:
      splice(text, random);
      break;
    case 8:
    case 9: {  // a number, if one is near
      const size_t digit = text.find_first_of("0123456789", at);
      if (digit == std::string::npos) break;
      size_t end = digit;
      while (end < text.size() && std::isdigit(static_cast<unsigned char>(text[end])) != 0) ++end;
      text.replace(digit, end - digit, any_number(random));
      break;
    }
    case 10:
    case 11:
      change_line(text, random);
      break;
    default:
      change_word(text, random);
  }
}

std::string Mutator::mutate(std::string text, Random& random) const {
  for (size_t changes = 1 + random.below(random.one_in(4) ? 4 : 2); changes > 0; --changes) {
    change(text, random);
    if (text.size() > kLongest) text.resize(kLongest);
  }
  return text;
}

}  // namespace nibble::fuzz
