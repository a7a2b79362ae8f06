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
// Chooses the body of one decoded instruction, where a row has several: by type, space, widths.
using Select = Body (*)(const Inst&);

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
//   d|p:pred         a pair; either side may be the sink _. The type is that of every name but d;
//                    the right side may be left out (`p` alone)
//   {d}              a vector of registers, as long as the modifier .v2, .v4 or .v8 says, a plain
//                    register where that is optional and absent; any length in a row without one.
//                    The elements of mov's vectors share the size of its type.
//   [a]              an address: register or variable plus a constant
//   [a, {c}]         an address and a vector of any length behind it, {c:type} or s32: coordinates
//   @l               a label        @f  a function and its lists (call)
// Arg order in Inst is the order of the row with vectors and pairs flattened.
struct Row {
  std::string spelling;  // "fma{.rn,.rz,.rm,.rp}{.ftz}{.sat}.f32 d, a, b, c"
  Requires target;
  Body body;
  Select select = nullptr;  // instead of `body`; may return null: operands of no known form
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

// What the last type modifier of an instruction says of its operands.
struct ValueType {
  enum class Kind : uint8_t { kBits, kUnsigned, kSigned, kFloat, kPredicate };
  Kind kind = Kind::kBits;
  uint8_t size = 4;  // bytes; kPredicate: 0
};

struct Inst {
  Body body = nullptr;
  const Arg* arg = nullptr;    // owned by the Program
  const Inst* jump = nullptr;  // target of a branch
  int32_t guard = kNoArg;      // frame offset of the predicate mask
  bool guard_negated = false;
  uint8_t arg_count = 0;
  Space space = Space::kGeneric;  // of the address operand: the modifier's; kRegister: parameter
                                  // storage in the frame
  uint8_t vector = 1;             // elements: 2 of .v2
  ValueType type;                 // of the last type modifier
  uint32_t extra = 0;             // index into a table of the Program: memory site, call, ...
  uint32_t id = 0;                // of all of the Program's: index in Code::instructions
  uint8_t choice[16] = {};        // by modifier group of the row
  const Row* row = nullptr;
  Location location;
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
void append_mbarrier_rows(Rows& rows);
void append_cluster_launch_rows(Rows& rows);  // clusterlaunchcontrol
void append_bulk_copy_rows(Rows& rows);       // cp.async.bulk without tensor, st.async, red.async
void append_tensor_copy_rows(Rows& rows);     // cp.async.bulk.tensor, tensormap
void append_matrix_rows(Rows& rows);          // ldmatrix, stmatrix, movmatrix, wmma.load and .store
void append_mma_rows(Rows& rows);             // mma.sync, wmma.mma
void append_wgmma_rows(Rows& rows);
void append_tcgen05_rows(Rows& rows);

// Whether PTX of `target` may use a form.
bool has_form(const Target& target, const Requires& form);
// "sm_100a" to {100, 'a'}; number 0 where it is no target.
Target parse_target(std::string_view text);
// Whether PTX of `target` runs on a device of `device`: sm_X on X and above, sm_Xa on itself alone,
// sm_Xf in its family.
bool runs_on(const Target& target, const Target& device);

// All rows of the table, built once. Thread-safe.
const Rows& all_rows();

}  // namespace nibble::emulator
