// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/jit/template_library.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "templates/embedded_templates.h"

namespace nibble {

namespace {

// The names in lines of the form `#include "name"`.
std::vector<std::string> included_names(std::string_view text) {
  std::vector<std::string> names;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    constexpr std::string_view kInclude = "#include \"";
    if (!line.starts_with(kInclude)) continue;
    line.remove_prefix(kInclude.size());
    names.emplace_back(line.substr(0, line.find('"')));
  }
  return names;
}

}  // namespace

Result<std::string> TemplateLibrary::read(std::string_view name) const {
  if (folder_.empty()) {
    for (const auto& embedded : templates::embedded_templates()) {
      if (embedded.name == name) return std::string(embedded.text);
    }
    return Status(Code::kInternal, "no template named " + std::string(name) + " in the library");
  }
  const std::string path = folder_ + "/" + std::string(name);
  std::ifstream file(path, std::ios::binary);
  if (!file) return Status(Code::kIoError, "template " + path + " cannot be read");
  return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

Result<std::vector<TemplateText>> TemplateLibrary::closure(std::string_view name) const {
  std::vector<TemplateText> found;
  std::vector<std::string> wanted{std::string(name)};
  for (size_t next = 0; next < wanted.size(); ++next) {
    Result<std::string> text = read(wanted[next]);
    if (!text.ok()) return text.status();
    for (std::string& included : included_names(text.value())) {
      if (std::find(wanted.begin(), wanted.end(), included) == wanted.end()) {
        wanted.push_back(std::move(included));
      }
    }
    found.push_back({wanted[next], std::move(text).value()});
  }
  return found;
}

}  // namespace nibble
