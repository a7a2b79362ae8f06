// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the files of tcgen05 share. PTX ISA 9.7.16.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/emulator/isa/isa.h"
#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/machine/origin.h"
#include "runtime/emulator/machine/warp.h"

namespace nibble::emulator::tcgen05 {

// Targets, by what they have.
constexpr std::string_view kEveryTarget = "100f 110f";
constexpr std::string_view kExactTarget = "100a 103a 110a";  // shift, .scale_vec, sparse mxf4
constexpr std::string_view kIntegerTarget = "100a 110a";     // .kind::i8
constexpr std::string_view kReduceTarget = "103f 110f";      // ld.red

// The modifier group and what choice it is.
constexpr std::string_view kGroups = ".{cta_group::1,cta_group::2}";
constexpr uint32_t group_of(uint8_t choice) { return choice + 1u; }

struct TensorAddress {
  uint32_t lane = 0, column = 0;
};
inline TensorAddress tensor_address(uint32_t bits) { return {bits >> 16, bits & 0xFFFF}; }

[[noreturn]] void refuse(const Origin& origin, const std::string& what);

// Of .sync.aligned instructions: true when all 32 threads execute it now; otherwise the body
// returns and is called again.
bool gather_warp(Warp& warp);
// The value of a 32-bit operand that must be the same in all active lanes; `what` names it.
uint32_t uniform(Warp& warp, const Arg& arg, const char* what);
// The same of the tensor memory address in brackets.
uint32_t uniform_address(Warp& warp, const Arg& arg);

// The blocks that an instruction works on: its own, or the pair's, the even one first. Faults where
// there is no pair, where the other one is gone, or where the kernel uses the other .cta_group.
struct Blocks {
  Block* block[2] = {nullptr, nullptr};
  uint32_t count = 0;
  Block& queue() const { return *block[0]; }
};
Blocks blocks_of(const Origin& origin, uint32_t group);

void append_allocation_rows(Rows& rows);
void append_access_rows(Rows& rows);  // ld, st, wait, fence
void append_copy_rows(Rows& rows);    // cp, shift, commit
void append_mma_rows(Rows& rows);

}  // namespace nibble::emulator::tcgen05
