// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The template texts that the build embeds into the library.
#pragma once

#include <span>
#include <string_view>

namespace nibble::templates {

struct EmbeddedTemplate {
  std::string_view name;  // path from templates/, the spelling of its #include
  std::string_view text;
};

// All templates and parameter headers, sorted by name. Static storage; safe from any thread.
std::span<const EmbeddedTemplate> embedded_templates();

}  // namespace nibble::templates
