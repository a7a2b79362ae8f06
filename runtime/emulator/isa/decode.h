// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// One function of a Module to a DecodedFunction: every instruction to its row, every operand to a
// place in the frame.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <tuple>

#include "runtime/emulator/isa/pattern.h"
#include "runtime/emulator/machine/code.h"
#include "runtime/emulator/ptx/module.h"

namespace nibble::emulator {

// Why a program is refused: "line N: <text>: why". Never leaves Program::load.
struct LoadError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The instruction as PTX text, registers by name.
std::string to_text(const Instruction& instruction, const Function& function);

// Where names outside the function point to.
struct Names {
  std::map<std::string, uint64_t, std::less<>> addresses;  // global and const variables
  std::map<std::string, uint32_t, std::less<>> shared;     // index in Code::shared
  std::map<std::string, uint32_t, std::less<>> functions;  // index in Code::functions
  std::map<std::string, Builtin, std::less<>> builtins;
};

class Decoder {
 public:
  Decoder(const Function& source, DecodedFunction& out, Program::Code& code, const Names& names);
  // Throws LoadError.
  void run();

 private:
  struct ParameterPlace {
    ParameterStorage storage;
    bool in_frame = false;  // else: offset in the kernel's parameter block
  };

  void place_registers();
  void place_variables();
  int32_t reserve(size_t bytes);
  // Refuses `variable`, with which its kind takes `bytes` bytes.
  void check_size(const Variable& variable, uint64_t bytes, uint64_t limit) const;
  void decode(const Instruction& instruction, Inst& inst);
  const Pattern& match(const Instruction& instruction, Inst& inst);
  void read_modifiers(const Instruction& instruction, const Pattern& pattern, Inst& inst);
  void decode_operands(const Instruction& instruction, const Pattern& pattern, Inst& inst);
  void decode_operand(const OperandPattern& pattern, const Operand& operand, Inst& inst);
  void check_place(const OperandPattern& pattern, const Operand& operand) const;
  void decode_vector(const OperandPattern& pattern, const Operand& operand, const Inst& inst);
  void decode_label(const Operand& operand, Inst& inst);
  void decode_timer(const Instruction& instruction, Inst& inst);
  void decode_call(const Instruction& instruction, Inst& inst);
  std::vector<ParameterStorage> call_list(const Operand& list);

  Arg value(const Operand& operand, ValueType type);
  Arg register_value(const Operand& operand, ValueType type);
  Arg address(const Operand& operand, Inst& inst);
  Arg variable_address(const Operand& operand, uint32_t width);
  Arg constant(uint64_t low, uint64_t high, uint32_t width);
  Arg frame_value(FrameValue value);
  uint64_t immediate_bits(const Operand& operand, ValueType type) const;

  [[noreturn]] void refuse(const std::string& why) const;

  const Function& source_;
  DecodedFunction& out_;
  Program::Code& code_;
  const Names& names_;
  const Instruction* current_ = nullptr;
  std::vector<Arg>* args_ = nullptr;  // of the current instruction
  std::vector<Arg> registers_;        // by Function::registers
  std::map<std::string, ParameterPlace, std::less<>> parameters_;
  std::map<std::string, uint64_t, std::less<>> locals_;  // offset in the function's locals
  std::map<std::tuple<uint64_t, uint64_t, uint32_t>, int32_t> constants_;
  std::map<std::tuple<int, int, uint32_t, uint64_t, int64_t>, int32_t> values_;
  std::map<uint32_t, uint32_t> tables_;  // of brx: index in Code::branch_tables
  bool allows_wider_ = false;
};

}  // namespace nibble::emulator
