// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/isa/pattern.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <stdexcept>

namespace nibble::emulator {

std::optional<ValueType> parse_value_type(std::string_view text) {
  using Kind = ValueType::Kind;
  if (text == "pred") return ValueType{Kind::kPredicate, 0};
  if (text == "tf32") return ValueType{Kind::kFloat, 4};
  if (text == "bf16") return ValueType{Kind::kFloat, 2};
  auto number = [](std::string_view digits) -> uint32_t {
    uint32_t value = 0;
    for (char c : digits) {
      if (!std::isdigit(static_cast<unsigned char>(c))) return 0;
      value = value * 10 + static_cast<uint32_t>(c - '0');
    }
    return value;
  };
  // Packed: an element, x, a count.
  if (const size_t x = text.find('x'); x != std::string_view::npos && x > 1) {
    const uint32_t count = number(text.substr(x + 1));
    const std::string_view element = text.substr(0, x);
    uint32_t bits = 0;
    if (element == "e2m1") bits = 4;
    if (element == "e4m3" || element == "e5m2" || element == "e2m3" || element == "e3m2" ||
        element == "ue8m0" || element == "ue4m3" || element == "s2f6") {
      bits = 8;
    }
    if (bits == 0) {
      if (const auto type = parse_value_type(element)) bits = type->size * 8u;
    }
    if (bits == 0 || count == 0 || count > 8) return std::nullopt;
    return ValueType{Kind::kBits, static_cast<uint8_t>(bits * count / 8)};
  }
  if (text == "e4m3" || text == "e5m2") return ValueType{Kind::kBits, 1};
  if (text.size() < 2) return std::nullopt;
  const uint32_t bits = number(text.substr(1));
  if (bits != 8 && bits != 16 && bits != 32 && bits != 64 && bits != 128) return std::nullopt;
  const auto size = static_cast<uint8_t>(bits / 8);
  switch (text[0]) {
    case 'b':
      return ValueType{Kind::kBits, size};
    case 'u':
      return ValueType{Kind::kUnsigned, size};
    case 's':
      return ValueType{Kind::kSigned, size};
    case 'f':
      return ValueType{Kind::kFloat, size};
    default:
      return std::nullopt;
  }
}

namespace {

struct Reader {
  std::string_view text;
  size_t at = 0;

  bool done() const { return at == text.size(); }
  char peek() const { return done() ? '\0' : text[at]; }
  bool accept(char c) {
    if (peek() != c) return false;
    ++at;
    return true;
  }
  void spaces() {
    while (accept(' ')) {
    }
  }
  std::string name() {
    const size_t start = at;
    while (!done() &&
           (std::isalnum(static_cast<unsigned char>(peek())) || peek() == '_' || peek() == ':')) {
      // A single colon ends a name: it introduces a type. "shared::cta" is one name.
      if (peek() == ':' && !(at + 1 < text.size() && text[at + 1] == ':')) break;
      at += peek() == ':' ? 2 : 1;
    }
    if (at == start) fail("a name is missing");
    return std::string(text.substr(start, at - start));
  }
  [[noreturn]] void fail(const char* why) const {
    throw std::logic_error("row \"" + std::string(text) + "\": " + why);
  }
};

void read_groups(Reader& in, Pattern& pattern) {
  while (!in.done() && in.peek() != ' ') {
    Group group;
    group.optional = in.accept('{');
    if (!in.accept('.')) in.fail("a modifier starts with a dot");
    const bool one_of = !group.optional && in.accept('{');
    do {
      if (group.optional && !group.alternatives.empty() && !in.accept('.')) in.fail("a dot");
      group.alternatives.push_back(in.name());
    } while ((group.optional || one_of) && in.accept(','));
    if ((group.optional || one_of) && !in.accept('}')) in.fail("} is missing");
    pattern.groups.push_back(std::move(group));
  }
  if (pattern.groups.size() > sizeof Inst::choice) in.fail("too many modifier groups");
}

std::optional<ValueType> read_type(Reader& in) {
  if (!in.accept(':')) return std::nullopt;
  const auto type = parse_value_type(in.name());
  if (!type) in.fail("unknown operand type");
  return type;
}

OperandPattern read_operand(Reader& in) {
  using Kind = OperandPattern::Kind;
  OperandPattern operand;
  if (in.accept('[')) {
    operand.kind = Kind::kAddress;
    in.name();
    if (in.accept(',')) {
      in.spaces();
      if (!in.accept('{')) in.fail("{ is missing");
      operand.coordinates = true;
      in.name();
      operand.right = read_type(in);
      if (!operand.right) operand.right = parse_value_type("s32");
      if (!in.accept('}')) in.fail("} is missing");
    }
    if (!in.accept(']')) in.fail("] is missing");
  } else if (in.accept('{')) {
    operand.kind = Kind::kVector;
    operand.is_result = in.name() == "d";
    operand.type = read_type(in);
    if (!in.accept('}')) in.fail("} is missing");
  } else if (in.accept('@')) {
    operand.kind = in.name() == "f" ? Kind::kFunction : Kind::kLabel;
  } else {
    const std::string name = in.name();
    operand.is_result = name == "d";
    operand.optional = in.accept('?');
    operand.type = read_type(in);
    if (in.accept('|')) {
      operand.kind = Kind::kPair;
      in.name();
      operand.right = read_type(in);
      if (!operand.type && name != "d") operand.type = operand.right;
    }
  }
  if (operand.kind == Kind::kVector || operand.kind == Kind::kAddress) {
    if (in.peek() == ':') operand.type = read_type(in);
  }
  operand.optional |= in.accept('?');
  return operand;
}

}  // namespace

Pattern parse_spelling(const Row& row) {
  Reader in{row.spelling};
  Pattern pattern;
  pattern.row = &row;
  pattern.opcode = in.name();
  read_groups(in, pattern);
  for (in.spaces(); !in.done(); in.spaces()) {
    if (!pattern.operands.empty()) {
      if (!in.accept(',')) in.fail("operands are separated by commas");
      in.spaces();
    }
    pattern.operands.push_back(read_operand(in));
  }
  for (const Group& group : pattern.groups) {
    if (!group.optional || group.alternatives[0][0] != 'v') continue;
    for (OperandPattern& operand : pattern.operands) operand.plain = true;
  }
  return pattern;
}

namespace {

struct Matcher {
  const Pattern& pattern;
  const std::vector<std::string>& modifiers;
  uint8_t* choice;

  // Assigns modifiers[m..] to free groups; types only to groups after `last_type`.
  bool assign(size_t m, int last_type) {
    if (m == modifiers.size()) {
      for (size_t g = 0; g < pattern.groups.size(); ++g) {
        if (choice[g] == kAbsent && !pattern.groups[g].optional) return false;
      }
      return true;
    }
    const bool is_type = parse_value_type(modifiers[m]).has_value();
    for (size_t g = 0; g < pattern.groups.size(); ++g) {
      if (choice[g] != kAbsent || (is_type && static_cast<int>(g) <= last_type)) continue;
      const auto& names = pattern.groups[g].alternatives;
      const auto found = std::find(names.begin(), names.end(), modifiers[m]);
      if (found == names.end()) continue;
      choice[g] = static_cast<uint8_t>(found - names.begin());
      if (assign(m + 1, is_type ? static_cast<int>(g) : last_type)) return true;
      choice[g] = kAbsent;
    }
    return false;
  }
};

// `braces`: a single register may stand in braces.
bool match_operand(const OperandPattern& pattern, const Operand& operand, bool braces) {
  using P = OperandPattern::Kind;
  using O = Operand::Kind;
  switch (pattern.kind) {
    case P::kValue:
      if (braces && operand.kind == O::kVector && operand.elements.size() == 1) return true;
      return operand.kind != O::kAddress && operand.kind != O::kVector &&
             operand.kind != O::kPair && operand.kind != O::kList && operand.kind != O::kLabel;
    case P::kPair:
      return operand.kind == O::kPair || operand.kind == O::kRegister || operand.kind == O::kSink;
    case P::kVector:
      return operand.kind == O::kVector ||
             (pattern.plain && operand.kind != O::kAddress && operand.kind != O::kPair &&
              operand.kind != O::kList && operand.kind != O::kLabel);
    case P::kAddress:
      return operand.kind == O::kAddress &&
             operand.elements.size() == (pattern.coordinates ? 2u : 1u);
    case P::kLabel:
      return operand.kind == O::kLabel;
    case P::kFunction:
      return operand.kind == O::kFunction || operand.kind == O::kRegister;
  }
  return false;
}

}  // namespace

bool match_modifiers(const Pattern& pattern, const std::vector<std::string>& modifiers,
                     uint8_t choice[16]) {
  std::fill_n(choice, 16, kAbsent);
  return Matcher{pattern, modifiers, choice}.assign(0, -1);
}

bool match_operands(const Pattern& pattern, const std::vector<Operand>& operands) {
  if (!pattern.operands.empty() &&
      pattern.operands.back().kind == OperandPattern::Kind::kFunction) {
    return true;  // call: the lists around the name are the loader's
  }
  if (operands.size() > pattern.operands.size()) return false;
  // As programs write the scales of mma: {%r1}, {%rs1, %rs2}.
  const bool braces = pattern.row->spelling.rfind("mma.", 0) == 0;
  for (size_t i = 0; i < pattern.operands.size(); ++i) {
    if (i >= operands.size()) {
      if (!pattern.operands[i].optional) return false;
    } else if (!match_operand(pattern.operands[i], operands[i], braces)) {
      return false;
    }
  }
  return true;
}

namespace {

// Whether groups a[i..] can be paired with groups of b so that both take the same modifiers.
bool pair_groups(const Pattern& a, const Pattern& b, size_t i, std::vector<bool>& taken,
                 int last_type) {
  if (i == a.groups.size()) {
    for (size_t g = 0; g < b.groups.size(); ++g) {
      if (!taken[g] && !b.groups[g].optional) return false;
    }
    return true;
  }
  for (size_t g = 0; g < b.groups.size(); ++g) {
    if (taken[g]) continue;
    for (const std::string& name : a.groups[i].alternatives) {
      const auto& names = b.groups[g].alternatives;
      if (std::find(names.begin(), names.end(), name) == names.end()) continue;
      const bool is_type = parse_value_type(name).has_value();
      if (is_type && static_cast<int>(g) <= last_type) continue;
      taken[g] = true;
      if (pair_groups(a, b, i + 1, taken, is_type ? static_cast<int>(g) : last_type)) return true;
      taken[g] = false;
      break;
    }
  }
  return a.groups[i].optional && pair_groups(a, b, i + 1, taken, last_type);
}

// Whether one operand could be of both.
bool operand_overlaps(const OperandPattern& a, const OperandPattern& b) {
  using Kind = OperandPattern::Kind;
  auto takes_plain = [](const OperandPattern& operand) {
    return operand.kind == Kind::kValue || operand.kind == Kind::kPair ||
           (operand.kind == Kind::kVector && operand.plain);
  };
  if (a.kind == Kind::kAddress && b.kind == Kind::kAddress) return a.coordinates == b.coordinates;
  return a.kind == b.kind || (takes_plain(a) && takes_plain(b));
}

bool operands_overlap(const Pattern& a, const Pattern& b) {
  const size_t count = std::max(a.operands.size(), b.operands.size());
  for (size_t i = 0; i < count; ++i) {
    if (i >= a.operands.size() || i >= b.operands.size()) {
      const Pattern& longer = i < a.operands.size() ? a : b;
      return longer.operands[i].optional;
    }
    if (!operand_overlaps(a.operands[i], b.operands[i])) return false;
  }
  return true;
}

}  // namespace

bool overlap(const Pattern& a, const Pattern& b) {
  if (a.opcode != b.opcode || !operands_overlap(a, b)) return false;
  std::vector<bool> taken(b.groups.size(), false);
  return pair_groups(a, b, 0, taken, -1);
}

const std::vector<Pattern>* patterns_of(std::string_view opcode) {
  static const auto* const kByOpcode = [] {
    auto* map = new std::map<std::string, std::vector<Pattern>, std::less<>>;
    for (const Row& row : all_rows()) {
      Pattern pattern = parse_spelling(row);
      (*map)[pattern.opcode].push_back(std::move(pattern));
    }
    return map;
  }();
  const auto found = kByOpcode->find(opcode);
  return found == kByOpcode->end() ? nullptr : &found->second;
}

}  // namespace nibble::emulator
