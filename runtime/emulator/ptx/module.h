// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A parsed PTX module: plain data, names resolved, nothing decoded. Written by the parser, read by
// the loader (isa/), which turns each Instruction into one row of the instruction table.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nibble::emulator {

enum class Space : uint8_t {
  kGeneric,
  kRegister,
  kGlobal,
  kShared,
  kLocal,
  kParam,
  kConst,
  kSharedCluster,  // of instructions only: .shared::cluster
};

// Fundamental types, in the manual's spelling without the dot.
enum class Type : uint8_t {
  kPred,
  kB8,
  kB16,
  kB32,
  kB64,
  kB128,
  kU8,
  kU16,
  kU32,
  kU64,
  kS8,
  kS16,
  kS32,
  kS64,
  kF16,
  kF16x2,
  kBf16,
  kBf16x2,
  kF32,
  kF64,
  kE4m3,
  kE5m2,
};

uint32_t size_of(Type type);  // in bytes; kPred: 4 (one bit a lane)

// Where a piece of PTX stands. The source line is that of the last .loc before it, 0 if none.
struct Location {
  uint32_t line = 0;         // in the PTX text, from 1
  uint32_t source_file = 0;  // index of the .file directive, 0 if none
  uint32_t source_line = 0;
};

struct Symbol {         // an address inside an initialiser: `.global .u64 t[1] = {generic(x)+4};`
  uint64_t offset = 0;  // bytes from the start of the variable
  std::string name;     // a variable or a function
  int64_t addend = 0;
  bool generic = false;
  uint32_t size =
      8;  // bytes to patch; below 8 only for part of an address: `.b8 t[1] = {0xFF(x)};`
  uint32_t shift = 0;  // bits to shift the address right by: 0xFF00(x) has 8
};

struct Variable {
  std::string name;
  Space space = Space::kGlobal;
  Type type = Type::kB8;
  uint32_t align = 1;  // bytes
  uint64_t size = 0;   // bytes; 0 for `extern .shared x[]`
  bool is_extern = false;
  std::vector<uint8_t> initial;  // the first bytes, size() <= size; the rest is zero
  std::vector<Symbol> symbols;   // patched over `initial` at load
  Location location;
};

struct Register {
  std::string name;  // as declared, expanded: "%r7"
  Type type = Type::kB32;
};

struct Operand {
  enum class Kind : uint8_t {
    kRegister,   // index: Function::registers
    kInteger,    // bits: 64-bit two's complement
    kFloat32,    // bits: 0f...
    kFloat64,    // bits: 0d..., or a decimal literal
    kSpecial,    // name: "%tid.x", "%laneid"
    kVariable,   // name: a variable's address; offset: `x+4`
    kFunction,   // name
    kLabel,      // index: instruction of the same function; of brx: into Function::branch_targets
    kAddress,    // [base + offset]; elements[0]: the base (register, variable or integer);
                 // elements[1..]: the coordinate vector of [map, {c0, c1}] and what follows it
    kVector,     // {elements}
    kPair,       // elements[0] | elements[1]
    kList,       // (elements), of call
    kSink,       // _
    kPrototype,  // index: Function::prototypes, last operand of an indirect call
  };
  Kind kind = Kind::kSink;
  bool negated = false;  // !p, or -x on a register
  uint32_t index = 0;
  uint64_t bits = 0;
  int64_t offset = 0;
  std::string name;
  std::vector<Operand> elements;
};

constexpr uint32_t kNoRegister = ~0u;

struct Instruction {
  std::string opcode;  // "ld"
  std::vector<std::string>
      modifiers;                 // {"global", "v4", "f32"}; "mbarrier::complete_tx::bytes" is one
  uint32_t guard = kNoRegister;  // Function::registers
  bool guard_negated = false;
  std::vector<Operand> operands;
  Location location;
};

// The signature (.callprototype) or the possible callees (.calltargets) of an indirect call.
struct Prototype {
  std::string name;
  std::vector<Variable> parameters;
  std::vector<Variable> returns;
  std::vector<std::string> targets;
};

struct Function {
  std::string name;
  bool is_entry = false;
  bool is_extern = false;  // declared, not defined: vprintf
  // Space kParam, or kRegister: those are the first of `registers`, returns before parameters.
  std::vector<Variable> parameters;
  std::vector<Variable> returns;
  std::vector<Register> registers;
  std::vector<Variable>
      variables;  // .local, .shared, .param and .const of the body, names made unique
  std::vector<Instruction> body;                      // labels resolved to indices
  std::vector<std::vector<uint32_t>> branch_targets;  // of brx.idx, by kLabel-like index
  std::vector<Prototype> prototypes;
  // Performance directives; 0: not given.
  uint32_t max_threads[3] = {0, 0, 0};       // .maxntid
  uint32_t required_threads[3] = {0, 0, 0};  // .reqntid
  uint32_t min_blocks_per_sm = 0;
  uint32_t max_registers = 0;
  uint32_t required_cluster[3] = {0, 0, 0};  // .reqnctapercluster
  uint32_t max_cluster_rank = 0;
  bool explicit_cluster = false;
  bool no_return = false;
  Location location;
};

struct Module {
  uint32_t version_major = 0, version_minor = 0;  // .version
  std::string target;                             // "sm_100a"
  std::vector<std::string> target_options;        // "debug", "texmode_independent"
  uint32_t address_size = 64;
  std::vector<std::string> files;   // by .file index, [0] empty
  std::vector<Variable> variables;  // module scope: .global, .const, .shared
  std::vector<Function> functions;
};

}  // namespace nibble::emulator
