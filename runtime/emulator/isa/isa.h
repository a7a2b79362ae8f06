// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The instruction table. A row is the manual's spelling, the lowest target that has it, and a body
// that executes it for the active lanes of a warp. Instructions are matched to rows once, at load;
// the step loop only calls bodies.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/emulator/ptx/module.h"

namespace nibble::emulator {

class Warp;
struct Inst;

using Body = void (*)(Warp&, const Inst&);

// A target of PTX: sm_90a is {90, 'a'}, sm_100f is {100, 'f'}, sm_80 is {80, 0}.
struct Target {
  uint32_t number = 0;
  char suffix = 0;
};

// Which targets have an instruction form. Plain: `number` and up. Otherwise one of the listed
// architecture-specific targets (an 'f' entry: its family, both suffixes).
struct Requires {
  uint32_t number = 50;
  std::string_view specific = {};  // "100f 120f": space-separated; empty: plain
};

// Spelling: `opcode` then modifier groups, then operands.
//   .x            required          {.x}        optional
//   .{a,b,c}      one of, required  {.a,.b}     one of, optional
// Modifiers of an instruction match groups as a set, in any order, each exactly once.
// Inst::choice[g] is the index of the alternative that group g matched, kAbsent where none.
// (A required single modifier `.x` is a group too, with choice 0.)
//
// Operands, separated by commas, each `name` or `name:type`; default type: the row's last type
// modifier. The type fixes the size of immediates and checks the size of registers.
//   d  a  b          register (source: or immediate, special register, variable address)
//   p:pred  {p:pred} predicate; `?` after a name: the operand may be left out
//   d|p:pred         a pair; either side may be the sink _
//   {d}              a vector of registers, any length that the modifiers allow (v2, v4, v8)
//   [a]              an address: register or variable plus a constant
//   @l               a label        @f  a function and its lists (call)
// Arg order in Inst is the order of the row with vectors and pairs flattened.
struct Row {
  std::string spelling;  // "fma{.rn,.rz,.rm,.rp}{.ftz}{.sat}.f32 d, a, b, c"
  Requires target;
  Body body;
};

constexpr uint8_t kAbsent = 0xFF;
constexpr int32_t kNoArg = -1;

// A decoded operand: registers, immediates and special registers are all 32-lane arrays in the
// warp's frame, `offset` bytes from its start, so a body never asks which it has.
struct Arg {
  int32_t offset = kNoArg;   // kNoArg: sink or left out
  uint32_t width = 0;        // bytes a lane of the register behind it (predicate: 0, one u32 mask)
  int64_t immediate = 0;     // the constant part of an address, an integer immediate, or a label
  bool negated = false;      // !p
  bool is_constant = false;  // an immediate: `immediate` holds its bits too
};

struct Inst {
  Body body = nullptr;
  int32_t guard = kNoArg;  // frame offset of the predicate mask
  bool guard_negated = false;
  uint8_t choice[12] = {};  // by modifier group of the row
  uint8_t space = 0;        // Space of the address operand, where the loader could tell it
  uint16_t arg_count = 0;
  const Arg* arg = nullptr;  // owned by the Program
  const Row* row = nullptr;
  Location location;
  uint32_t extra = 0;  // index into a table of the Program (calls, branch targets)
};

// The rows of one file of ops/. Types as template arguments make a row each:
//   add_rows<uint16_t, uint32_t>(rows, "add.%t d, a, b", ...) is in isa/rows.h.
using Rows = std::vector<Row>;
void append_integer_rows(Rows& rows);
void append_logic_rows(Rows& rows);
void append_float_rows(Rows& rows);
void append_half_rows(Rows& rows);
void append_compare_rows(Rows& rows);
void append_convert_rows(Rows& rows);
void append_move_rows(Rows& rows);
void append_memory_rows(Rows& rows);
void append_atomic_rows(Rows& rows);
void append_control_rows(Rows& rows);
void append_barrier_rows(Rows& rows);
void append_warp_rows(Rows& rows);

// All rows of the table, built once. Thread-safe.
const Rows& all_rows();

}  // namespace nibble::emulator
