// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/table.h"

#include <algorithm>

namespace nibble::cli {
namespace {

// Terminals show one column for each code point of a name; continuation bytes of UTF-8 are none.
size_t width_of(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

void Table::print(std::ostream& out) const {
  std::vector<size_t> widths;
  for (size_t column = 0; column < columns_.size(); ++column) {
    size_t width = width_of(columns_[column].title);
    for (const auto& row : rows_) width = std::max(width, width_of(row[column]));
    widths.push_back(width);
  }
  const auto print_row = [&](const auto& cell) {
    std::string line;
    for (size_t column = 0; column < columns_.size(); ++column) {
      const std::string text = cell(column);
      const std::string padding(widths[column] - width_of(text), ' ');
      line += (column == 0 ? "" : "  ");
      line += columns_[column].right ? padding + text : text + padding;
    }
    out << line.substr(0, line.find_last_not_of(' ') + 1) << '\n';
  };
  print_row([&](size_t column) { return columns_[column].title; });
  print_row([&](size_t column) { return std::string(widths[column], '-'); });
  for (const auto& row : rows_) {
    print_row([&](size_t column) { return row[column]; });
  }
}

}  // namespace nibble::cli
