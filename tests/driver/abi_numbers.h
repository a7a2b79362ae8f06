// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The numbers of one view of the driver's ABI.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace nibble::test {

struct AbiNumber {
  std::string name;
  unsigned long long value;
};

std::vector<AbiNumber> numbers_of_cuda_h();  // empty where there is no cuda.h
std::vector<AbiNumber> numbers_of_ours();

}  // namespace nibble::test

#define NIBBLE_RECORD(type) {"sizeof " #type, sizeof(type)},
#define NIBBLE_FIELD(type, member) {"offset of " #type "::" #member, offsetof(type, member)},
#define NIBBLE_CONSTANT(name) {#name, static_cast<unsigned long long>(name)},
