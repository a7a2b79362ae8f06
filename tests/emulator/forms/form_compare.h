// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Differences between two outputs of one form, told with the inputs that gave them.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tests/emulator/forms/form.h"

namespace nibble::forms {

struct Difference {
  uint64_t count = 0;  // values that differ
  uint64_t ulp = 0;    // approximate forms: the largest distance in units of the last place
  std::string first;   // "element 7 value 0: in 3f800000 7fc00000: a 00000000, b 3f800000"
  std::string worst;   // approximate forms: the element of the largest distance
};

// Both outputs are of form.output_bytes().
Difference compare(const Form& form, const std::vector<Bytes>& inputs, const Bytes& a,
                   const Bytes& b);

// A record: "name digest" lines, # comments. Digests are XXH3-128 of the output's bytes.
using Record = std::map<std::string, std::string>;
bool read_record(const std::filesystem::path& path, Record& record, std::string& error);
std::string digest_of(const Bytes& output);

}  // namespace nibble::forms
