// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Options of a multiplication that several commands have.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>

#include "nibble/gemm.hpp"

namespace nibble::cli {

// The first `count` values of an enumeration by the names that the library has for them.
template <class Enum>
std::map<std::string, Enum> by_name(std::string_view (*name)(Enum), int count) {
  std::map<std::string, Enum> names;
  for (int i = 0; i < count; ++i) {
    names.emplace(name(static_cast<Enum>(i)), static_cast<Enum>(i));
  }
  return names;
}

// --format, --a-fp8, --b-fp8
struct OperandOptions {
  OperandFormat format = OperandFormat::kNvfp4;
  Fp8Type a_fp8 = Fp8Type::kE4m3, b_fp8 = Fp8Type::kE4m3;
};
void add_operand_options(CLI::App& command, OperandOptions* options);
// kInvalidArgument where the elements of FP8 are given for another format.
Status check(const OperandOptions& options);

// --activation and --gated
void add_activation_options(CLI::App& command, Activation* activation, bool* gated);

// --config tile_n=128,stages=4: members of `config` by their names.
void add_config_option(CLI::App& command, GemmConfig* config);

}  // namespace nibble::cli
