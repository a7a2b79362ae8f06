// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Rows of text in columns, for people.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace nibble::cli {

class Table {
 public:
  struct Column {
    std::string title;
    bool right = false;  // aligned right: numbers
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // As many cells as there are columns.
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  // Two spaces between columns, no trailing blanks, a line of dashes under the titles.
  void print(std::ostream& out) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace nibble::cli
