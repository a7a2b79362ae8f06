// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the warp-level matrix instructions of Blackwell must give, in double arithmetic.
#pragma once

#include <optional>

#include "tests/emulator/forms/form.h"

namespace nibble::forms {

// As expected_output(), of the forms of matrix/ and mma/.
//
// `expect mma`: the instruction is read from the form's text. Register r of A, B, C and so on is
// element thread + 32 r of inputs 0, 1, 2; scales of A and B, metadata follow. Operands are such
// that sums are exact.
std::optional<Bytes> expected_matrix(const Form& form, const std::vector<Bytes>& inputs);

}  // namespace nibble::forms
