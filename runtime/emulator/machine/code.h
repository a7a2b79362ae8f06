// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A decoded program: what isa/ makes of a Module and machine/ runs.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/emulator/isa/isa.h"
#include "runtime/emulator/machine/device.h"
#include "runtime/emulator/machine/special.h"

namespace nibble::emulator {

class Warp;
struct CallSite;

// Constants of a frame that only a running warp knows, written when the frame is made.
struct FrameValue {
  enum class Kind : uint8_t { kSpecial, kShared, kLocal };
  Kind kind = Kind::kSpecial;
  Special special = Special::kTid;
  uint8_t width = 4;  // bytes a lane
  int32_t frame_offset = 0;
  uint64_t value = 0;  // kShared: index of the variable; kLocal: offset in the function's locals
  int64_t addend = 0;
};

// Parameters of device functions: a byte array a lane in the frame, or a register.
struct ParameterStorage {
  int32_t offset = 0;  // in the frame
  uint32_t size = 0;   // bytes a lane
};

struct DecodedFunction {
  std::string name;
  bool is_entry = false;
  std::vector<Inst> body;         // the last is an implicit ret
  std::vector<std::string> text;  // PTX of each, for reports
  std::deque<std::vector<Arg>> args;
  std::vector<std::byte> image;  // a frame: registers, parameter storage, constants
  std::vector<FrameValue> values;
  std::vector<ParameterStorage> parameters, returns;
  struct Local {
    std::string name;
    uint64_t offset = 0, size = 0;
  };
  std::vector<Local> locals;
  uint32_t local_bytes = 0;                   // a thread, multiple of 16
  std::vector<uint32_t> shared;               // variables it names
  std::vector<const DecodedFunction*> calls;  // of direct calls
  bool calls_indirectly = false;
};

// What runs in place of an extern function; reads its parameters through the call site.
using Builtin = void (*)(Warp&, const CallSite&);
Builtin find_builtin(std::string_view name);

struct CallSite {
  const DecodedFunction* callee = nullptr;  // null: a builtin or indirect
  Builtin builtin = nullptr;
  Arg target;  // of an indirect call: the register with the function's address
  std::vector<ParameterStorage> parameters, returns;  // in the caller's frame
};

struct SharedVariable {
  std::string name;
  uint64_t size = 0;
  uint32_t align = 1;
  bool is_dynamic = false;  // extern .shared x[]
};

struct KernelLayout {
  // Of each shared variable that is reached, by index: bytes from the block's first.
  std::map<uint32_t, uint32_t> shared_offset;
  uint32_t static_shared = 0;  // bytes
  uint32_t dynamic_offset = 0;
  bool deep_stack = false;   // calls whose depth is not known at load
  uint32_t stack_bytes = 0;  // a thread
};

struct Program::Code {
  std::deque<DecodedFunction> functions;
  std::vector<CallSite> calls;
  std::vector<std::vector<const Inst*>> branch_tables;
  std::vector<SharedVariable> shared;
  std::deque<Kernel> kernels;
  std::vector<KernelLayout> layouts;  // by kernel
  std::map<std::string, Program::Variable, std::less<>> variables;
  std::vector<std::string> files;
  uint32_t memory_sites = 0;
  struct Place {
    const DecodedFunction* function = nullptr;
    const Inst* inst = nullptr;
  };
  std::vector<Place> instructions;  // by Inst::id
  // An instruction that may read what others, asynchronous ones, still write (isa/pending.h).
  struct PendingCheck {
    Body body = nullptr;  // what it does
    std::vector<const Inst*> producers;
  };
  std::vector<PendingCheck> pending_checks;
  std::vector<uint32_t> pending_index;  // of pending_checks, by Inst::id
  Target target;
  // Differs from that of every other program of the process, also of those unloaded.
  const uint64_t serial = next_serial();

  const DecodedFunction* function_at(uint64_t address) const;
  static uint64_t next_serial();
};

// Windows of the generic address space. Global and constant memory lie at host addresses, which on
// 64-bit systems are above or below all of these.
constexpr uint64_t kWindowSize = 1ull << 32;
constexpr uint64_t kSharedWindow = 0x0100'0000'0000;
constexpr uint64_t kLocalWindow = 0x0101'0000'0000;
constexpr uint64_t kParamWindow = 0x0102'0000'0000;
constexpr uint64_t kCodeWindow = 0x0103'0000'0000;  // functions, kCodeStride apart
constexpr uint64_t kCodeStride = 16;
constexpr uint32_t kRankShift = 24;  // shared addresses hold the block's rank in its cluster above

}  // namespace nibble::emulator
