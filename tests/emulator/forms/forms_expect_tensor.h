// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the forms of tcgen05.mma must give.
#pragma once

#include <optional>

#include "tests/emulator/forms/form.h"

namespace nibble::forms {

// As expected_output(). `expect tcgen05_product`: rows of A and B hold ones and twos in turn,
// column n of thread t's lane starts as t. `_halved`: the start counts half. `_masked`: lanes 64 to
// 95 keep it. Block-scaled kinds have scale factors of 2 for A and of 1 for B.
std::optional<Bytes> expected_tensor(const Form& form);

}  // namespace nibble::forms
