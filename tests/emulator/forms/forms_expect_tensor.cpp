// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/emulator/forms/forms_expect_tensor.h"

#include <bit>
#include <cstring>
#include <utility>

namespace nibble::forms {

namespace {

// Products that make up one element of D: the kind's k, and only half of a sparse one's 2 k.
uint32_t products(const std::string& text) {
  static constexpr std::pair<const char*, uint32_t> kKinds[] = {
      {".kind::tf32", 8},      {".kind::f16", 16},  {".kind::f8f6f4", 32},   {".kind::i8", 32},
      {".kind::mxf8f6f4", 32}, {".kind::mxf4", 64}, {".kind::mxf4nvf4", 64},
  };
  for (const auto& [kind, k] : kKinds) {
    if (text.find(kind) != std::string::npos) return k;
  }
  return 0;
}

}  // namespace

std::optional<Bytes> expected_tensor(const Form& form) {
  if (!form.expect.starts_with("tcgen05_product")) return std::nullopt;
  const bool is_halved = form.expect.ends_with("_halved");
  const bool is_masked = form.expect.ends_with("_masked");
  const bool is_integer = form.text.find(".kind::i8") != std::string::npos;
  const uint32_t scale = form.text.find(".block_scale") != std::string::npos ? 2 : 1;
  Bytes output(form.output_bytes());
  for (uint32_t lane = 0; lane < form.threads(); ++lane) {
    for (uint32_t n = 0; n < form.outputs; ++n) {
      double value = is_halved ? lane / 2.0 : lane;
      if (!is_masked || lane / 32 != 2) {
        value += products(form.text) * scale * (1 + lane % 2) * (1 + n % 2);
      }
      const uint32_t word = is_integer ? static_cast<uint32_t>(value)
                                       : std::bit_cast<uint32_t>(static_cast<float>(value));
      std::memcpy(output.data() + (size_t{lane} * form.outputs + n) * 4, &word, 4);
    }
  }
  return output;
}

}  // namespace nibble::forms
