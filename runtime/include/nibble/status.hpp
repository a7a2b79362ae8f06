// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Errors as values. No function of nibble lets an exception out.
//
//   nibble::Result<nibble::Context> context = nibble::Context::create();
//   if (!context.ok()) return report(context.status());
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace [[gnu::visibility("default")]] nibble {

enum class Code {
  kOk,
  kInvalidArgument,  // a shape, pointer, stride or option breaks a rule; the message names both
  kUnsupported,      // valid, but not on this target or in this version
  kLibraryMissing,   // the driver, NVRTC or the emulator cannot be loaded
  kLibraryTooOld,    // loaded, but lacks something that the request needs
  kNoDevice,         // no GPU answers to the device asked for
  kCompileFailed,    // detail(): the compiler's log after the rendered source
  kWouldCompile,     // a cold kernel during stream capture; nothing was done, the capture is intact
  kDriverError,      // a Driver API call failed; the message names the call and its error
  kOutOfMemory,
  kIoError,
  kInternal,  // a bug of nibble
};

std::string_view code_name(Code code);  // "invalid argument"

// Success (one null pointer) or a code with a message. Cheap to copy; safe to share.
class [[nodiscard]] Status {
 public:
  Status() = default;
  // `message`: one line, with the offending value and the rule. `detail`: a log, may be long.
  Status(Code code, std::string message, std::string detail = {});

  bool ok() const { return failure_ == nullptr; }
  Code code() const { return failure_ ? failure_->code : Code::kOk; }
  std::string_view message() const { return failure_ ? failure_->message : std::string_view(); }
  std::string_view detail() const { return failure_ ? failure_->detail : std::string_view(); }
  std::string to_string() const;  // "invalid argument: rows = 0: must be >= 1"

 private:
  struct Failure {
    Code code;
    std::string message;
    std::string detail;
  };
  std::shared_ptr<const Failure> failure_;
};

// A T or the Status that says why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}           // NOLINT(google-explicit-constructor)
  Result(Status failure) : value_(std::move(failure)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return std::holds_alternative<T>(value_); }
  Status status() const { return ok() ? Status() : std::get<Status>(value_); }

  // Requires ok().
  T& value() & { return std::get<T>(value_); }
  const T& value() const& { return std::get<T>(value_); }
  T&& value() && { return std::get<T>(std::move(value_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Status> value_;
};

}  // namespace nibble
