// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// How many instructions a thread executes, read off a disassembly: the path through the kernel that
// a tile inside a matrix takes, and the loops on it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nibble::bench {

enum class Pipe { kAlu, kFma, kMemory, kUniform, kSpecial, kControl };
constexpr int kPipes = 6;

struct Instruction {
  std::string opcode;  // "LDG.E.128"
  Pipe pipe = Pipe::kAlu;
  bool conditional = false;             // has a predicate
  int target = -1;                      // of a branch: the index of an instruction
  int load_bytes = 0, store_bytes = 0;  // of global memory; loads of 8 bytes and more
  int shared_bytes = 0;                 // stored to shared memory; 4 and more
};

// The instructions of the kernel, its subroutines left out. nvdisasm -c wrote `text`.
std::vector<Instruction> parse_sass(std::string_view text);

struct PathOptions {
  // The kernel goes round over tiles: one round of that loop is counted, and no more.
  // Otherwise all from the start to the end of the first tile.
  bool rounds = false;
  int element_bytes = 0;  // of what is loaded
  double stored = 0;      // bytes an element, to global memory
  double staged = 0;      // bytes an element, to shared memory, by words
  int trips = 1;          // of loops that store nothing
};

struct PathCount {
  double instructions = 0;
  double of_pipe[kPipes] = {};
  double load_bytes = 0, store_bytes = 0, shared_bytes = 0;
  double elements = 0;
  std::string error;  // why nothing was counted
};

// Of the paths without a call, the one that moves most bytes; of these, the shortest. For a kernel
// whose ragged edges are handled by other, narrower code that is the one inside. The loops on it,
// of 32 and more instructions, go round as often as it takes to store what is asked for, and no
// more (PathOptions::trips); shorter ones copy what is left to copy, once. What a copy engine loads
// is in no instruction: as many elements as are stored.
PathCount count_path(const std::vector<Instruction>& code, const PathOptions& options);

}  // namespace nibble::bench
