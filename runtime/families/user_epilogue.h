// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What is inside a UserEpilogue.
#pragma once

#include "nibble/gemm.hpp"
#include "runtime/jit/user_source.h"

namespace nibble {

struct UserEpilogueAccess {
  static const UserSource* source(const UserEpilogue& epilogue) { return epilogue.source_; }
};

// Arguments where there is no user's epilogue, or not those that it has; the error names the rule.
// `pointers_required`: the arguments themselves must be there too.
Status check_user_arguments(const GemmEpilogue& epilogue, bool pointers_required);

}  // namespace nibble
