// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// How the library's own code returns early and keeps exceptions from its callers.
#pragma once

#include <exception>
#include <new>
#include <utility>

#include "nibble/status.hpp"

// Leaves the function with the expression's Status when it failed.
#define NIBBLE_TRY(expression)                                                           \
  do {                                                                                   \
    if (::nibble::Status try_status = (expression); !try_status.ok()) return try_status; \
  } while (false)

// Assigns a Result's value to `target` (a declaration or an lvalue), or leaves the function with
// its Status.
#define NIBBLE_TRY_ASSIGN(target, expression) \
  NIBBLE_TRY_ASSIGN_NAMED(target, expression, NIBBLE_UNIQUE_NAME(__LINE__))
// NOLINTBEGIN(bugprone-macro-parentheses): a declaration cannot stand in parentheses.
#define NIBBLE_TRY_ASSIGN_NAMED(target, expression, result) \
  auto result = (expression);                               \
  if (!result.ok()) return result.status();                 \
  target = std::move(result).value()
// NOLINTEND(bugprone-macro-parentheses)
#define NIBBLE_UNIQUE_NAME(line) NIBBLE_UNIQUE_NAME_OF(line)
#define NIBBLE_UNIQUE_NAME_OF(line) try_result_##line

namespace nibble {

// Runs a public function's body; what the standard library throws becomes a Status.
template <class Body>
auto guarded(Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return Status(Code::kOutOfMemory, "host memory is used up");
  } catch (const std::exception& error) {
    return Status(Code::kInternal, error.what());
  }
}

}  // namespace nibble
