// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "nibble/status.hpp"

namespace nibble {

std::string_view code_name(Code code) {
  switch (code) {
    case Code::kOk:
      return "ok";
    case Code::kInvalidArgument:
      return "invalid argument";
    case Code::kUnsupported:
      return "unsupported";
    case Code::kLibraryMissing:
      return "library missing";
    case Code::kLibraryTooOld:
      return "library too old";
    case Code::kNoDevice:
      return "no device";
    case Code::kCompileFailed:
      return "compile failed";
    case Code::kWouldCompile:
      return "would compile";
    case Code::kDriverError:
      return "driver error";
    case Code::kOutOfMemory:
      return "out of memory";
    case Code::kIoError:
      return "i/o error";
    case Code::kInternal:
      return "internal error";
  }
  return "unknown";
}

Status::Status(Code code, std::string message, std::string detail)
    : failure_(
          std::make_shared<const Failure>(Failure{code, std::move(message), std::move(detail)})) {}

std::string Status::to_string() const {
  if (ok()) return "ok";
  return std::string(code_name(code())) + ": " + std::string(message());
}

}  // namespace nibble
