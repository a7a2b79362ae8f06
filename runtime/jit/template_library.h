// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Template texts by name, with what they include: from the library itself, or from a folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nibble/status.hpp"

namespace nibble {

struct TemplateText {
  std::string name;  // as spelled in #include
  std::string text;
};

class TemplateLibrary {
 public:
  // Empty: the embedded texts. Else files under `folder` are read anew at every call.
  explicit TemplateLibrary(std::string folder) : folder_(std::move(folder)) {}

  // `name` and all that it includes, directly or not, each once, in the order first met.
  Result<std::vector<TemplateText>> closure(std::string_view name) const;

 private:
  Result<std::string> read(std::string_view name) const;
  std::string folder_;
};

}  // namespace nibble
