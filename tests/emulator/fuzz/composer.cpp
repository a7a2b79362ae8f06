// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/emulator/fuzz/composer.h"

#include <string_view>

namespace nibble::fuzz {
namespace {

using emulator::OperandPattern;
using emulator::Pattern;
using emulator::ValueType;

// Registers with a use: %d0 and %d1 are the buffers, %d2 is shared memory, %d3 the parameter m,
// %r0 the thread, %r1 shared memory, %r2 tensor memory.
constexpr std::string_view kDeclarations = R"(.reg .pred %p<4>;
.reg .b8 %c<4>;
.reg .b16 %h<6>;
.reg .b32 %r<12>;
.reg .b64 %d<12>;
.reg .b128 %q<4>;
)";

constexpr std::string_view kPrologue = R"(ld.param.u64 %d0, [a];
ld.param.u64 %d1, [b];
mov.u64 %d2, s;
cvta.shared.u64 %d2, %d2;
mov.u64 %d3, m;
cvta.param.u64 %d3, %d3;
mov.u32 %r0, %tid.x;
mov.u32 %r1, s;
)";

std::string text(uint64_t number) { return std::to_string(static_cast<int64_t>(number)); }

std::string register_of(const ValueType& type, Random& random) {
  const auto numbered = [&](const char* name, size_t count) {
    return name + std::to_string(random.below(count));
  };
  if (type.kind == ValueType::Kind::kPredicate) return numbered("%p", 4);
  switch (type.size) {
    case 1:
      return random.one_in(2) ? numbered("%c", 4) : numbered("%h", 6);
    case 2:
      return numbered("%h", 6);
    case 8:
      return numbered("%d", 12);
    case 16:
      return numbered("%q", 4);
    default:
      return numbered("%r", 12);
  }
}

std::string immediate_of(const ValueType& type, Random& random) {
  if (type.kind == ValueType::Kind::kPredicate) return random.one_in(2) ? "1" : "0";
  if (type.kind == ValueType::Kind::kFloat && type.size >= 4) {
    static constexpr const char* kSingles[] = {"0f00000000", "0f3F800000", "0f7F800000",
                                               "0f7FC00000", "0f80000001", "1.5"};
    static constexpr const char* kDoubles[] = {"0d0000000000000000", "0d7FF0000000000000", "-2.5",
                                               "0dFFFFFFFFFFFFFFFF"};
    return type.size == 4 ? random.pick(kSingles) : random.pick(kDoubles);
  }
  const uint64_t value = random.number();
  return text(type.size < 8 && !random.one_in(8) ? value & 0xFF : value);
}

std::string value_of(const ValueType& type, Random& random) {
  static constexpr const char* kOthers[] = {"%tid.x", "%laneid", "%ctaid.z",  "%clock64", "%smid",
                                            "s",      "g+8",     "%nctaid.y", "_",        "kernel",
                                            "f",      "m",       "l",         "WARP_SZ",  "%q0"};
  const size_t draw = random.below(32);
  if (draw < 6) return immediate_of(type, random);
  if (draw == 6) return random.pick(kOthers);
  if (type.kind == ValueType::Kind::kPredicate && draw < 10) return "!" + register_of(type, random);
  return register_of(type, random);
}

std::string vector_of(const ValueType& type, size_t length, Random& random) {
  std::string list = "{";
  for (size_t i = 0; i < length; ++i) list += (i == 0 ? "" : ", ") + value_of(type, random);
  return list + "}";
}

std::string address_of(const OperandPattern& pattern, Random& random) {
  static constexpr const char* kBases[] = {"%d0", "%d1", "%d2", "%d3", "%r1", "%r2", "s",
                                           "g",   "m",   "l",   "a",   "%d4", "%r3", "c"};
  std::string address = std::string("[") + random.pick(kBases);
  if (random.one_in(3))
    address += "+" + text(random.one_in(2) ? 4 * random.below(40) : random.number());
  if (pattern.coordinates) {
    const ValueType type = pattern.right.value_or(ValueType{});
    address += ", " + vector_of(type, 1 + random.below(random.one_in(8) ? 9 : 5), random);
  }
  return address + "]";
}

// Lengths that vectors have; a row without a vector modifier takes any.
size_t length_of(size_t modifier, Random& random) {
  static constexpr size_t kLengths[] = {1, 2, 2, 4, 4, 4, 8, 8, 16, 32, 64, 128, 0, 3, 5};
  return modifier != 0 && !random.one_in(16) ? modifier : random.pick(kLengths);
}

std::string operand_of(const OperandPattern& pattern, const ValueType& last, size_t vector,
                       Random& random) {
  using Kind = OperandPattern::Kind;
  const ValueType type = pattern.type.value_or(last);
  switch (random.one_in(40) ? static_cast<Kind>(random.below(6)) : pattern.kind) {
    case Kind::kValue:
      return value_of(type, random);
    case Kind::kPair:
      if (random.one_in(3)) return register_of(type, random);
      return register_of(type, random) + "|" + register_of(pattern.right.value_or(type), random);
    case Kind::kVector:
      if (pattern.plain && vector == 0) return value_of(type, random);
      return vector_of(type, length_of(vector, random), random);
    case Kind::kAddress:
      return address_of(pattern, random);
    case Kind::kLabel:
      return random.one_in(3) ? "T" : random.one_in(2) ? "HERE" : "END";
    case Kind::kFunction:
      return random.one_in(2) ? "(%r4), f, (%r5)" : "(%r4), %d4, (%r5), P";
  }
  return "_";
}

struct Modifiers {
  std::string text;
  ValueType type;  // of the last type modifier
  size_t vector = 0;
};

Modifiers modifiers_of(const Pattern& pattern, Random& random) {
  Modifiers chosen;
  for (const auto& group : pattern.groups) {
    if (group.optional && random.one_in(2)) continue;
    const std::string& name = random.pick(group.alternatives);
    chosen.text += "." + name;
    if (const auto type = emulator::parse_value_type(name)) chosen.type = *type;
    if (name == "v2" || name == "v4" || name == "v8") {
      chosen.vector = static_cast<size_t>(name[1] - '0');
    }
  }
  return chosen;
}

// Registers get values that instructions make sense of: small, descriptors, anything.
std::string set_register(Random& random) {
  const bool is_wide = random.one_in(2);
  const std::string name =
      (is_wide ? "%d" : "%r") + std::to_string((is_wide ? 4 : 2) + random.below(8));
  return std::string("mov.b") + (is_wide ? "64 " : "32 ") + name + ", " +
         text(is_wide ? random.number() : random.number() & 0xFFFFFFFF) + ";\n";
}

std::string set_up(const std::string& target, Random& random) {
  std::string body(kPrologue);
  if (random.one_in(2))
    body += "mbarrier.init.shared.b64 [%r1], " + text(1 + random.below(3)) + ";\n";
  if (target.starts_with("sm_10") && random.one_in(2)) {
    body += "tcgen05.alloc.cta_group::1.sync.aligned.shared::cta.b32 [s+16], " +
            text(uint64_t{32} << random.below(5)) + ";\nld.shared.b32 %r2, [s+16];\n";
  }
  for (size_t i = random.below(4); i > 0; --i) body += set_register(random);
  return body;
}

}  // namespace

Composer::Composer() {
  for (const emulator::Row& row : emulator::all_rows()) {
    patterns_.push_back(emulator::parse_spelling(row));
  }
}

std::string Composer::statement(const std::string& target, Random& random) const {
  const Pattern* pattern = &random.pick(patterns_);
  const emulator::Target parsed = emulator::parse_target(target);
  for (int i = 0; i < 8 && !emulator::has_form(parsed, pattern->row->target); ++i) {
    pattern = &random.pick(patterns_);
  }
  const Modifiers modifiers = modifiers_of(*pattern, random);
  std::string line = random.one_in(6) ? random.one_in(2) ? "@%p1 " : "@!%p0 " : "";
  line += pattern->opcode + modifiers.text;
  bool is_first = true;
  for (const OperandPattern& operand : pattern->operands) {
    if (operand.optional && random.one_in(2)) break;
    line += is_first ? " " : ", ";
    line += operand_of(operand, modifiers.type, modifiers.vector, random);
    is_first = false;
  }
  return line + ";\n";
}

std::string Composer::compose(Random& random) const {
  static constexpr const char* kTargets[] = {"sm_90a", "sm_100a", "sm_103a", "sm_120a"};
  const std::string target = random.pick(kTargets);
  std::string body = ".version 9.0\n.target " + target + "\n.address_size 64\n";
  body += ".global .align 16 .b8 g[64];\n.const .align 4 .b32 c[4] = {1, 2, 3, 4};\n";
  body += ".shared .align 1024 .b8 s[4096];\n";
  if (random.one_in(4)) {
    body += ".func (.reg .b32 y) f(.reg .b32 x) { add.u32 y, x, 1; ret; }\n";
  } else {
    body +=
        ".func (.param .b32 y) f(.param .b32 x) { .reg .b32 v; ld.param.b32 v, [x];\n"
        "st.param.b32 [y], v; ret; }\n";
  }
  body += ".visible .entry kernel(.param .u64 a, .param .u64 b, .param .align 64 .b8 m[128])\n";
  if (random.one_in(12)) body += ".reqnctapercluster 2, 1, 1\n";
  body += "{\n" + std::string(kDeclarations) + ".local .align 16 .b8 l[32];\n";
  body += "P: .callprototype (.param .b32 _) _ (.param .b32 _);\n";
  body += "T: .branchtargets HERE, END;\n" + set_up(target, random) + "HERE:\n";
  for (size_t i = 1 + random.below(4); i > 0; --i) {
    body += random.one_in(5) ? set_register(random) : statement(target, random);
  }
  return body + "END:\nret;\n}\n";
}

}  // namespace nibble::fuzz
