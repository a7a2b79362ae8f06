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

Status check_user_arguments(const GemmEpilogue& epilogue, bool pointers_required) {
  const UserSource* source = UserEpilogueAccess::source(epilogue.user);
  if (source == nullptr) {
    if (epilogue.user_argument_bytes == 0) return {};
    return {Code::kInvalidArgument,
            "epilogue.user_argument_bytes = " + std::to_string(epilogue.user_argument_bytes) +
                ": must be 0 without epilogue.user"};
  }
  if (!pointers_required && epilogue.user_arguments == nullptr) return {};
  NIBBLE_TRY(check_argument_bytes(*source, epilogue.user_argument_bytes));
  if (epilogue.user_argument_bytes == 0 || epilogue.user_arguments != nullptr) return {};
  return {Code::kInvalidArgument, "epilogue.user_arguments is null: must be the " +
                                      std::to_string(source->argument_bytes) +
                                      " bytes of struct Epilogue"};
}

}  // namespace nibble
