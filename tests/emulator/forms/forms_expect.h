// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What forms that no recorded card has must give: slow and obvious, from the manual's words, apart
// from the emulator.
#pragma once

#include <optional>

#include "tests/emulator/forms/form.h"

namespace nibble::forms {

// The whole output of a form with an `expect` line; none where its name is unknown.
std::optional<Bytes> expected_output(const Form& form, const std::vector<Bytes>& inputs);

}  // namespace nibble::forms
