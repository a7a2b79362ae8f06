// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Matching and layout of a function; its operands are in operands.cpp.
#include "runtime/emulator/isa/decode.h"

#include <algorithm>
#include <cstring>

#include "runtime/emulator/isa/pending.h"

namespace nibble::emulator {

namespace {

constexpr uint32_t kLanes = 32;

std::string operand_text(const Operand& operand, const Function& function) {
  auto joined = [&](size_t first, const char* open, const char* close) {
    std::string text = open;
    for (size_t i = first; i < operand.elements.size(); ++i) {
      text.append(i > first ? ", " : "").append(operand_text(operand.elements[i], function));
    }
    return text + close;
  };
  std::string plus = operand.offset > 0 ? "+" : "";
  if (operand.offset != 0) plus += std::to_string(operand.offset);
  switch (operand.kind) {
    case Operand::Kind::kRegister:
      return std::string(operand.negated ? "!" : "").append(function.registers[operand.index].name);
    case Operand::Kind::kInteger:
      return std::to_string(static_cast<int64_t>(operand.bits));
    case Operand::Kind::kFloat32:
    case Operand::Kind::kFloat64: {
      const bool wide = operand.kind == Operand::Kind::kFloat64;
      char text[24];
      std::snprintf(text, sizeof text, wide ? "0d%016llX" : "0f%08llX",
                    static_cast<unsigned long long>(operand.bits));
      return text;
    }
    case Operand::Kind::kSpecial:
    case Operand::Kind::kFunction:
      return operand.name;
    case Operand::Kind::kVariable:
      return operand.name + plus;
    case Operand::Kind::kLabel:
    case Operand::Kind::kPrototype:
      return std::string("<").append(std::to_string(operand.index)).append(">");
    case Operand::Kind::kAddress: {
      std::string text = "[";
      text.append(operand_text(operand.elements[0], function)).append(plus);
      for (size_t i = 1; i < operand.elements.size(); ++i) {
        text.append(", ").append(operand_text(operand.elements[i], function));
      }
      return text.append("]");
    }
    case Operand::Kind::kVector:
      return joined(0, "{", "}");
    case Operand::Kind::kPair:
      return operand_text(operand.elements[0], function) + "|" +
             operand_text(operand.elements[1], function);
    case Operand::Kind::kList:
      return joined(0, "(", ")");
    case Operand::Kind::kSink:
      return "_";
  }
  return "?";
}

// The rows most like an instruction that matches none, for the refusal.
std::string closest(const std::vector<Pattern>& patterns, const std::vector<std::string>& wanted) {
  std::vector<std::pair<size_t, const Pattern*>> ranked;
  for (const Pattern& pattern : patterns) {
    auto knows = [&](const std::string& modifier) {
      return std::any_of(pattern.groups.begin(), pattern.groups.end(), [&](const Group& group) {
        return std::count(group.alternatives.begin(), group.alternatives.end(), modifier) != 0;
      });
    };
    size_t distance = 0;
    for (const std::string& modifier : wanted) distance += knows(modifier) ? 0 : 2;
    for (const Group& group : pattern.groups) {
      const bool met = std::any_of(wanted.begin(), wanted.end(), [&](const std::string& modifier) {
        return std::count(group.alternatives.begin(), group.alternatives.end(), modifier) != 0;
      });
      distance += met || group.optional ? 0 : 1;
    }
    ranked.emplace_back(distance, &pattern);
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(3, ranked.size()); ++i) {
    text.append("\n  known: ").append(ranked[i].second->row->spelling);
  }
  return text;
}

std::string target_text(const Target& target) {
  std::string text = "sm_";
  text += std::to_string(target.number);
  if (target.suffix != 0) text += target.suffix;
  return text;
}

std::optional<Space> space_of(const std::string& modifier) {
  if (modifier == "global") return Space::kGlobal;
  if (modifier == "shared" || modifier == "shared::cta") return Space::kShared;
  if (modifier == "shared::cluster") return Space::kSharedCluster;
  if (modifier == "local") return Space::kLocal;
  if (modifier == "param" || modifier == "param::entry" || modifier == "param::func") {
    return Space::kParam;
  }
  if (modifier == "const") return Space::kConst;
  return std::nullopt;
}

}  // namespace

std::string to_text(const Instruction& instruction, const Function& function) {
  std::string text;
  if (instruction.guard != kNoRegister) {
    text.append(instruction.guard_negated ? "@!" : "@");
    text.append(function.registers[instruction.guard].name).append(" ");
  }
  text += instruction.opcode;
  for (const std::string& modifier : instruction.modifiers) text.append(".").append(modifier);
  for (size_t i = 0; i < instruction.operands.size(); ++i) {
    text.append(i == 0 ? " " : ", ").append(operand_text(instruction.operands[i], function));
  }
  return text.append(";");
}

Decoder::Decoder(const Function& source, DecodedFunction& out, Program::Code& code,
                 const Names& names)
    : source_(source), out_(out), code_(code), names_(names) {}

void Decoder::refuse(const std::string& why) const {
  throw LoadError("line " + std::to_string(current_->location.line) + ": " +
                  to_text(*current_, source_) + ": " + why);
}

int32_t Decoder::reserve(size_t bytes) {
  constexpr size_t kMostBytes = size_t{1} << 28;  // every warp has a copy
  const size_t offset = (out_.image.size() + 63) / 64 * 64;
  if (bytes > kMostBytes || offset > kMostBytes - bytes) {
    throw LoadError("line " + std::to_string(source_.location.line) + ": the registers and the" +
                    " parameters of " + source_.name + " take more than 256 MiB a warp");
  }
  out_.image.resize(offset + bytes);
  return static_cast<int32_t>(offset);
}

void Decoder::place_registers() {
  registers_.resize(source_.registers.size());
  for (size_t i = 0; i < registers_.size(); ++i) {
    const bool is_predicate = source_.registers[i].type == Type::kPred;
    Arg& arg = registers_[i];
    arg.width = is_predicate ? 0 : size_of(source_.registers[i].type);
    arg.offset = reserve(is_predicate ? sizeof(uint32_t) : size_t{arg.width} * kLanes);
  }
}

void Decoder::check_size(const Variable& variable, uint64_t bytes, uint64_t limit) const {
  if (bytes <= limit) return;
  throw LoadError("line " + std::to_string(variable.location.line) + ": " + variable.name +
                  " makes it " + std::to_string(bytes) + " bytes, the limit is " +
                  std::to_string(limit));
}

void Decoder::place_variables() {
  // The manual's limit of a kernel's parameters; those of other functions and of calls are as many.
  constexpr uint64_t kMostParameterBytes = 32764;
  constexpr uint64_t kMostLocalBytes = 512 * 1024;  // of a thread: compute capability's table
  // Register parameters are the first registers, returns before parameters; `_` has none.
  size_t next_register = 0;
  auto place_parameter = [&](const Variable& variable) {
    check_size(variable, variable.size, kMostParameterBytes);
    ParameterPlace place{{0, static_cast<uint32_t>(variable.size)}, true};
    if (variable.space == Space::kRegister && variable.name != "_") {
      const Arg& arg = registers_[next_register++];
      place.storage = {arg.offset, arg.width};
    } else {
      // A multiple of 16, so that every lane's copy is aligned.
      place.storage.size = (place.storage.size + 15) / 16 * 16;
      place.storage.offset = reserve(size_t{place.storage.size} * kLanes);
    }
    parameters_[variable.name] = place;
    return place.storage;
  };
  if (source_.is_entry) {
    uint64_t offset = 0;
    for (const Variable& variable : source_.parameters) {
      const uint64_t align = std::max(variable.align, 1u);
      offset = (offset + align - 1) / align * align;
      check_size(variable, offset + variable.size, kMostParameterBytes);
      parameters_[variable.name] = {
          {static_cast<int32_t>(offset), static_cast<uint32_t>(variable.size)}, false};
      offset += variable.size;
    }
  } else {
    for (const Variable& variable : source_.returns) {
      out_.returns.push_back(place_parameter(variable));
    }
    for (const Variable& variable : source_.parameters) {
      out_.parameters.push_back(place_parameter(variable));
    }
  }
  uint64_t local = 0;
  for (const Variable& variable : source_.variables) {
    if (variable.space == Space::kParam) place_parameter(variable);
    if (variable.space != Space::kLocal) continue;
    const uint64_t align = std::max(variable.align, 1u);
    local = (local + align - 1) / align * align;
    check_size(variable, local + variable.size, kMostLocalBytes);
    locals_[variable.name] = local;
    out_.locals.push_back({variable.name, local, variable.size});
    local += variable.size;
  }
  out_.local_bytes = static_cast<uint32_t>((local + 15) / 16 * 16);
}

const Pattern& Decoder::match(const Instruction& instruction, Inst& inst) {
  const std::vector<Pattern>* patterns = patterns_of(instruction.opcode);
  if (patterns == nullptr) refuse("no such instruction is known");
  const Pattern* wrong_operands = nullptr;
  const Pattern* wrong_target = nullptr;
  for (const Pattern& pattern : *patterns) {
    if (!match_modifiers(pattern, instruction.modifiers, inst.choice)) continue;
    if (!match_operands(pattern, instruction.operands)) {
      wrong_operands = &pattern;
    } else if (!has_form(code_.target, pattern.row->target)) {
      wrong_target = &pattern;
    } else {
      return pattern;
    }
  }
  if (wrong_target != nullptr) {
    const Requires& form = wrong_target->row->target;
    refuse("not on " + target_text(code_.target) + "; needs " +
           (form.specific.empty() ? "sm_" + std::to_string(form.number)
                                  : "sm_" + std::string(form.specific)));
  }
  if (wrong_operands != nullptr) {
    refuse("operands do not fit\n  known: " + wrong_operands->row->spelling);
  }
  refuse("unknown form" + closest(*patterns, instruction.modifiers));
}

void Decoder::read_modifiers(const Instruction& instruction, const Pattern& pattern, Inst& inst) {
  inst.row = pattern.row;
  inst.type = ValueType{};
  for (size_t g = 0; g < pattern.groups.size(); ++g) {  // in the row's order
    if (inst.choice[g] == kAbsent) continue;
    const std::string& name = pattern.groups[g].alternatives[inst.choice[g]];
    if (const auto type = parse_value_type(name)) inst.type = *type;
    if (name == "v2" || name == "v4" || name == "v8") {
      inst.vector = static_cast<uint8_t>(name[1] - '0');
    }
    if (const auto space = space_of(name); space && inst.space == Space::kGeneric) {
      inst.space = *space;
    }
  }
  const std::string& opcode = instruction.opcode;
  allows_wider_ = opcode == "ld" || opcode == "st" || opcode == "ldu" || opcode == "cvt";
}

void Decoder::decode(const Instruction& instruction, Inst& inst) {
  current_ = &instruction;
  args_ = &out_.args.emplace_back();
  inst.location = instruction.location;
  inst.id = static_cast<uint32_t>(code_.instructions.size());
  code_.instructions.push_back({&out_, &inst});
  const bool is_timer = instruction.opcode == "mov" && instruction.operands.size() == 2 &&
                        instruction.operands[1].kind == Operand::Kind::kSpecial &&
                        varies(find_special(instruction.operands[1].name).value_or(Special::kTid));
  const Pattern& pattern = match(instruction, inst);
  read_modifiers(instruction, pattern, inst);
  if (instruction.guard != kNoRegister) {
    if (source_.registers[instruction.guard].type != Type::kPred) refuse("a guard is a predicate");
    inst.guard = registers_[instruction.guard].offset;
    inst.guard_negated = instruction.guard_negated;
  }
  inst.body = pattern.row->body;
  if (is_timer) {
    decode_timer(instruction, inst);
  } else if (instruction.opcode == "call") {
    decode_call(instruction, inst);
  } else {
    decode_operands(instruction, pattern, inst);
  }
  if (args_->size() > 255) refuse("too many operands");
  inst.arg = args_->data();
  inst.arg_count = static_cast<uint8_t>(args_->size());
  if (pattern.row->select != nullptr && !is_timer) {
    inst.body = pattern.row->select(inst);
    if (inst.body == nullptr)
      refuse("no form for these operand types\n  known: " + inst.row->spelling);
  }
}

void Decoder::run() {
  place_registers();
  place_variables();
  out_.body.resize(source_.body.size() + 1);
  out_.text.reserve(out_.body.size());
  for (size_t i = 0; i < source_.body.size(); ++i) {
    decode(source_.body[i], out_.body[i]);
    out_.text.push_back(to_text(source_.body[i], source_));
  }
  // Control that runs off the end returns.
  Instruction implicit;
  implicit.opcode = "ret";
  implicit.location = source_.body.empty() ? source_.location : source_.body.back().location;
  decode(implicit, out_.body.back());
  out_.text.push_back(to_text(implicit, source_));
  std::sort(out_.shared.begin(), out_.shared.end());
  out_.shared.erase(std::unique(out_.shared.begin(), out_.shared.end()), out_.shared.end());
  check_pending(source_, out_, code_);
}

}  // namespace nibble::emulator
