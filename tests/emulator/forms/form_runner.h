// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Runs forms through a driver library: the emulator's or a card's. Two may be open at once.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/emulator/forms/form.h"

namespace nibble::forms {

struct Outcome {
  enum class Kind { kRan, kNoDevice, kFailed };
  Kind kind = Kind::kFailed;
  Bytes output;         // kRan
  std::string message;  // kNoDevice: the target; kFailed: the call, its error and the log
};

// Not thread-safe. The library stays open until the process ends.
class FormRunner {
 public:
  // Null with `error` set when the library cannot be loaded or started.
  static std::unique_ptr<FormRunner> open(const std::string& library, std::string& error);
  ~FormRunner();
  FormRunner(const FormRunner&) = delete;
  FormRunner& operator=(const FormRunner&) = delete;

  // On the first device of the form's target. Outputs are poisoned before the launch.
  Outcome run(const Form& form, const std::vector<Bytes>& inputs);

  // The names of the devices and the driver's version, for records.
  std::string description();

 private:
  struct State;
  explicit FormRunner(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace nibble::forms
