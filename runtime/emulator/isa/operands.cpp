// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Operands to places in the frame: registers, constants, addresses, call lists.
#include <algorithm>
#include <bit>
#include <cstring>

#include "runtime/emulator/isa/decode.h"
#include "runtime/emulator/machine/special.h"

namespace nibble::emulator {

namespace {
constexpr uint32_t kLanes = 32;
}

Arg Decoder::constant(uint64_t low, uint64_t high, uint32_t width) {
  const auto [found, is_new] = constants_.try_emplace({low, high, width}, 0);
  if (is_new) {
    found->second = reserve(size_t{std::max(width, 1u)} * kLanes);
    std::byte bytes[16];
    std::memcpy(bytes, &low, 8);
    std::memcpy(bytes + 8, &high, 8);
    std::byte* const at = out_.image.data() + found->second;
    for (uint32_t lane = 0; lane < kLanes; ++lane) std::memcpy(at + lane * width, bytes, width);
    if (width == 0 && low != 0) std::memset(at, 0xFF, sizeof(uint32_t));  // predicate
  }
  Arg arg;
  arg.offset = found->second;
  arg.width = width;
  arg.immediate = static_cast<int64_t>(low);
  arg.is_constant = true;
  return arg;
}

Arg Decoder::frame_value(FrameValue value) {
  const auto [found, is_new] =
      values_.try_emplace({static_cast<int>(value.kind), static_cast<int>(value.special),
                           value.width, value.value, value.addend},
                          0);
  if (is_new) {
    found->second = reserve(size_t{value.width} * kLanes);
    value.frame_offset = found->second;
    out_.values.push_back(value);
  }
  Arg arg;
  arg.offset = found->second;
  arg.width = value.width;
  return arg;
}

uint64_t Decoder::immediate_bits(const Operand& operand, ValueType type) const {
  const bool is_float = type.kind == ValueType::Kind::kFloat;
  if (operand.kind == Operand::Kind::kInteger) {
    if (is_float && type.size >= 4) refuse("an integer where a floating-point literal is needed");
    uint64_t bits = operand.bits;
    if (type.size < 8 && type.size > 0) {
      const uint64_t mask = (1ull << (type.size * 8)) - 1;
      const uint64_t above = bits & ~mask;
      if (above != 0 && above != ~mask) refuse("an integer literal too large for its type");
      bits &= mask;
    }
    return bits;
  }
  if (operand.kind == Operand::Kind::kFloat32) {
    if (type.size == 4) return operand.bits;
    if (type.size == 8 && is_float) {
      const double value = std::bit_cast<float>(static_cast<uint32_t>(operand.bits));
      return std::bit_cast<uint64_t>(value);
    }
  } else {
    if (type.size == 8) return operand.bits;
    if (type.size == 4 && is_float) {
      return std::bit_cast<uint32_t>(static_cast<float>(std::bit_cast<double>(operand.bits)));
    }
  }
  refuse("a floating-point literal of another size than its type");
}

Arg Decoder::register_value(const Operand& operand, ValueType type) {
  Arg arg = registers_[operand.index];
  arg.negated = operand.negated;
  const bool is_predicate = arg.width == 0;
  const std::string& name = source_.registers[operand.index].name;
  if (is_predicate != (type.kind == ValueType::Kind::kPredicate)) {
    refuse(name + (is_predicate ? " is a predicate" : " is no predicate"));
  }
  if (is_predicate) return arg;
  if (arg.negated) refuse("a sign in front of " + name);
  if (arg.width != type.size && !(allows_wider_ && arg.width > type.size)) {
    refuse(name + " has " + std::to_string(arg.width * 8) + " bits, the operand needs " +
           std::to_string(type.size * 8));
  }
  return arg;
}

Arg Decoder::variable_address(const Operand& operand, uint32_t width) {
  if (width != 4 && width != 8) refuse("an address has 32 or 64 bits");
  FrameValue value;
  value.width = static_cast<uint8_t>(width);
  value.addend = operand.offset;
  if (const auto local = locals_.find(operand.name); local != locals_.end()) {
    value.kind = FrameValue::Kind::kLocal;
    value.value = local->second;
    return frame_value(value);
  }
  if (const auto parameter = parameters_.find(operand.name); parameter != parameters_.end()) {
    if (parameter->second.in_frame) {
      refuse("the address of a device function's parameter is not supported");
    }
    const auto offset = static_cast<uint64_t>(parameter->second.storage.offset);
    return constant(kParamWindow + offset + static_cast<uint64_t>(operand.offset), 0, width);
  }
  if (const auto shared = names_.shared.find(operand.name); shared != names_.shared.end()) {
    out_.shared.push_back(shared->second);
    value.kind = FrameValue::Kind::kShared;
    value.value = shared->second;
    return frame_value(value);
  }
  if (const auto global = names_.addresses.find(operand.name); global != names_.addresses.end()) {
    return constant(global->second + static_cast<uint64_t>(operand.offset), 0, width);
  }
  refuse("unknown name " + operand.name);
}

Arg Decoder::value(const Operand& operand, ValueType type) {
  using Kind = Operand::Kind;
  const bool is_predicate = type.kind == ValueType::Kind::kPredicate;
  switch (operand.kind) {
    case Kind::kSink:
      return Arg{};
    case Kind::kRegister:
      return register_value(operand, type);
    case Kind::kInteger:
      if (is_predicate) return constant((operand.bits != 0) != operand.negated, 0, 0);
      return constant(immediate_bits(operand, type),
                      static_cast<int64_t>(operand.bits) < 0 ? ~0ull : 0, type.size);
    case Kind::kFloat32:
    case Kind::kFloat64:
      return constant(immediate_bits(operand, type), 0, type.size);
    case Kind::kSpecial: {
      const auto special = find_special(operand.name);
      if (!special) refuse("unknown special register " + operand.name);
      if (varies(*special)) refuse(operand.name + " can only be read by mov");
      if (is_predicate) {
        if (*special != Special::kIsExplicitCluster) refuse(operand.name + " is no predicate");
        FrameValue predicate;
        predicate.special = *special;
        predicate.width = 4;  // 32 lanes of a word: the first is the mask
        Arg arg = frame_value(predicate);
        arg.width = 0;
        return arg;
      }
      FrameValue value;
      value.special = *special;
      value.width = type.size;
      return frame_value(value);
    }
    case Kind::kVariable:
      return variable_address(operand, type.size);
    case Kind::kFunction: {
      const auto function = names_.functions.find(operand.name);
      if (function == names_.functions.end()) refuse("unknown function " + operand.name);
      return constant(kCodeWindow + function->second * kCodeStride, 0, type.size);
    }
    default:
      refuse("this operand is not a value");
  }
}

Arg Decoder::address(const Operand& operand, Inst& inst) {
  const Operand& base = operand.elements[0];
  const auto offset = static_cast<int64_t>(static_cast<uint64_t>(operand.offset) +
                                           static_cast<uint64_t>(base.offset));
  Arg arg;
  if (base.kind == Operand::Kind::kRegister) {
    arg = registers_[base.index];
    if (arg.width != 4 && arg.width != 8) refuse("an address has 32 or 64 bits");
    if (inst.space == Space::kParam && !source_.is_entry) {
      refuse("a parameter of a device function addressed by a register is not supported");
    }
  } else if (base.kind == Operand::Kind::kInteger) {
    arg = constant(base.bits, 0, 8);
  } else if (base.kind == Operand::Kind::kVariable) {
    const auto parameter = parameters_.find(base.name);
    if (parameter != parameters_.end() && parameter->second.in_frame) {
      const ParameterStorage& storage = parameter->second.storage;
      const int64_t bytes = int64_t{inst.type.size} * inst.vector;
      if (offset < 0 || bytes > storage.size || offset > storage.size - bytes)
        refuse("outside of " + base.name);
      inst.space = Space::kRegister;
      arg.offset = storage.offset;
      arg.width = storage.size;
    } else {
      Operand start = base;
      start.offset = 0;
      arg = variable_address(start, 8);
    }
  } else {
    refuse("this operand is not an address");
  }
  arg.immediate = offset;
  arg.is_constant = false;
  return arg;
}

// Operands that are written are registers. The sink takes the place of a result in instructions
// that can do without it, and of elements that a store leaves as they are.
void Decoder::check_place(const OperandPattern& pattern, const Operand& operand) const {
  static constexpr std::string_view kWithSinks[] = {
      "atom", "clusterlaunchcontrol", "ld", "ldu", "mbarrier", "mma", "mov", "st", "tcgen05",
      "wmma"};
  using Kind = Operand::Kind;
  if (operand.kind == Kind::kSink) {
    const bool is_element = pattern.kind == OperandPattern::Kind::kVector;
    const bool has_use = current_->opcode == "mbarrier" || current_->opcode == "atom" || is_element;
    const bool is_known = std::find(std::begin(kWithSinks), std::end(kWithSinks),
                                    current_->opcode) != std::end(kWithSinks);
    const bool is_allowed = pattern.optional || (is_known && has_use &&
                                                 (pattern.is_result || current_->opcode == "st"));
    if (!is_allowed) refuse("the sink _ cannot stand here");
  } else if (pattern.is_result && operand.kind != Kind::kRegister) {
    refuse("the result is no register");
  }
}

void Decoder::decode_vector(const OperandPattern& pattern, const Operand& operand,
                            const Inst& inst) {
  ValueType type = pattern.type.value_or(inst.type);
  const bool is_vector = operand.kind == Operand::Kind::kVector;
  const size_t length = is_vector ? operand.elements.size() : 1;
  if (length == 0) refuse("a vector of no elements");
  if (current_->opcode == "mov" && type.size % length != 0) {
    refuse(std::to_string(length) + " elements do not divide the type's size");
  }
  if (current_->opcode == "mov") type.size = static_cast<uint8_t>(type.size / length);
  if (inst.vector > 1 && length != inst.vector) {
    refuse("a vector of " + std::to_string(inst.vector) + " is needed");
  }
  if (!is_vector) {
    if (operand.kind == Operand::Kind::kSink) refuse("the sink _ cannot stand here");
    check_place(pattern, operand);
    args_->push_back(value(operand, type));
    return;
  }
  for (const Operand& element : operand.elements) {
    check_place(pattern, element);
    args_->push_back(value(element, type));
  }
}

void Decoder::decode_label(const Operand& operand, Inst& inst) {
  if (current_->opcode != "brx") {
    inst.jump = &out_.body[operand.index];
    return;
  }
  const auto [known, is_new] =
      tables_.try_emplace(operand.index, static_cast<uint32_t>(code_.branch_tables.size()));
  if (is_new) {
    std::vector<const Inst*>& table = code_.branch_tables.emplace_back();
    for (const uint32_t target : source_.branch_targets.at(operand.index)) {
      table.push_back(&out_.body[target]);
    }
  }
  inst.extra = known->second;
}

void Decoder::decode_operand(const OperandPattern& pattern, const Operand& operand, Inst& inst) {
  using Kind = OperandPattern::Kind;
  const ValueType type = pattern.type.value_or(inst.type);
  switch (pattern.kind) {
    case Kind::kValue: {
      const bool braces = operand.kind == Operand::Kind::kVector;
      const Operand& inner = braces ? operand.elements[0] : operand;
      check_place(pattern, inner);
      args_->push_back(value(inner, type));
      break;
    }
    case Kind::kPair: {
      const bool is_pair = operand.kind == Operand::Kind::kPair;
      args_->push_back(value(is_pair ? operand.elements[0] : operand, type));
      args_->push_back(is_pair ? value(operand.elements[1], pattern.right.value_or(type)) : Arg{});
      break;
    }
    case Kind::kVector:
      decode_vector(pattern, operand, inst);
      break;
    case Kind::kAddress:
      args_->push_back(address(operand, inst));
      if (pattern.coordinates) {
        if (operand.elements[1].kind != Operand::Kind::kVector) refuse("coordinates are a vector");
        for (const Operand& element : operand.elements[1].elements) {
          if (element.kind == Operand::Kind::kSink) refuse("the sink _ is no coordinate");
          args_->push_back(value(element, *pattern.right));
        }
      }
      break;
    case Kind::kLabel:
      decode_label(operand, inst);
      break;
    case Kind::kFunction:
      break;  // decode_call()
  }
}

void Decoder::decode_operands(const Instruction& instruction, const Pattern& pattern, Inst& inst) {
  bool has_address = false;
  for (size_t i = 0; i < pattern.operands.size(); ++i) {
    has_address |= pattern.operands[i].kind == OperandPattern::Kind::kAddress;
    if (i < instruction.operands.size()) {
      decode_operand(pattern.operands[i], instruction.operands[i], inst);
    } else {
      args_->emplace_back();  // left out
      if (pattern.operands[i].kind == OperandPattern::Kind::kPair) args_->emplace_back();
    }
  }
  if (has_address) inst.extra = code_.memory_sites++;
}

void Decoder::decode_timer(const Instruction& instruction, Inst& inst) {
  if (instruction.operands[0].kind != Operand::Kind::kRegister) refuse("the result is no register");
  if (inst.type.size > 8) refuse("a special register has at most 64 bits");
  args_->push_back(value(instruction.operands[0], inst.type));
  inst.extra = static_cast<uint32_t>(*find_special(instruction.operands[1].name));
  inst.body = read_timer;
}

std::vector<ParameterStorage> Decoder::call_list(const Operand& list) {
  std::vector<ParameterStorage> places;
  for (const Operand& operand : list.elements) {
    if (operand.kind == Operand::Kind::kVariable) {
      const auto parameter = parameters_.find(operand.name);
      if (parameter == parameters_.end() || !parameter->second.in_frame) {
        refuse(operand.name + " is no .param variable");
      }
      places.push_back(parameter->second.storage);
    } else if (operand.kind == Operand::Kind::kRegister) {
      const Arg& arg = registers_[operand.index];
      if (arg.width == 0) refuse("a predicate cannot be passed");
      places.push_back({arg.offset, arg.width});
    } else if (operand.kind == Operand::Kind::kFloat32) {
      places.push_back({constant(operand.bits, 0, 4).offset, 4});
    } else if (operand.kind == Operand::Kind::kInteger || operand.kind == Operand::Kind::kFloat64) {
      // Of an integer the low bytes are passed.
      places.push_back({constant(operand.bits, 0, 8).offset, 8});
    } else {
      refuse("an argument of a call is a .param variable, a register or a literal");
    }
  }
  return places;
}

void Decoder::decode_call(const Instruction& instruction, Inst& inst) {
  using Kind = Operand::Kind;
  const auto& operands = instruction.operands;
  CallSite site;
  size_t i = 0;
  if (i < operands.size() && operands[i].kind == Kind::kList)
    site.returns = call_list(operands[i++]);
  if (i == operands.size()) refuse("whom to call is missing");
  const Operand& callee = operands[i++];
  if (i < operands.size() && operands[i].kind == Kind::kList) {
    site.parameters = call_list(operands[i++]);
  }
  if (callee.kind == Kind::kFunction) {
    if (const auto found = names_.functions.find(callee.name); found != names_.functions.end()) {
      site.callee = &code_.functions[found->second];
      out_.calls.push_back(site.callee);
    } else if (const auto known = names_.builtins.find(callee.name);
               known != names_.builtins.end()) {
      site.builtin = known->second;
    } else {
      refuse("the function " + callee.name + " is not defined");
    }
  } else if (callee.kind == Kind::kRegister && registers_[callee.index].width == 8) {
    site.target = registers_[callee.index];
    out_.calls_indirectly = true;
  } else {
    refuse("a call needs a function or a 64-bit register");
  }
  inst.extra = static_cast<uint32_t>(code_.calls.size());
  code_.calls.push_back(std::move(site));
}

}  // namespace nibble::emulator
