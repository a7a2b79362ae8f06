// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/families/user_epilogue.h"

#include "runtime/context_state.h"
#include "runtime/result.h"

namespace nibble {

Result<UserEpilogue> UserEpilogue::create(Context& context, std::string_view source) {
  return guarded([&]() -> Result<UserEpilogue> {
    ContextState& state = context.state();
    UserEpilogue epilogue;
    NIBBLE_TRY_ASSIGN(epilogue.source_,
                      state.user_sources.intern(state.pool, *state.device.arch, source));
    return epilogue;
  });
}

Status check_user_arguments(const GemmEpilogue& epilogue, Pointers pointers) {
  const UserSource* source = UserEpilogueAccess::source(epilogue.user);
  const int64_t bytes = epilogue.user_argument_bytes;
  const bool given = epilogue.user_arguments != nullptr;
  if (source == nullptr) {
    if (bytes == 0) return {};
    return {Code::kInvalidArgument, "epilogue.user_argument_bytes = " + std::to_string(bytes) +
                                        ": there is no epilogue.user to take them"};
  }
  if (pointers == Pointers::kOptional && !given) return {};
  NIBBLE_TRY(check_argument_bytes(*source, bytes));
  if (bytes == 0 || given) return {};
  return {Code::kInvalidArgument,
          "epilogue.user_arguments is null: user_argument_bytes = " + std::to_string(bytes)};
}

}  // namespace nibble
