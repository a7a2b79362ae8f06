// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// One line on a terminal that says how far the work is; nothing where stderr is no terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <ostream>
#include <string>

namespace nibble::cli {

// "1.50 MB", "12 bytes": decimal units, three digits.
std::string bytes_text(double bytes);
// "0.42 s", "3:05", "1:02:03".
std::string seconds_text(double seconds);

class Progress {
 public:
  // What advance() counts: bytes have a rate that is worth showing.
  enum class Unit { kBytes, kSteps };

  // `shown` false: does nothing. `total_bytes`: what advance() will add up to.
  Progress(std::ostream& out, bool shown, int64_t total_items, int64_t total_bytes,
           Unit unit = Unit::kBytes);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();  // wipes the line

  void start_item(const std::string& name);
  void name_item(const std::string& name) { name_ = name; }  // the same item, by another name
  void advance(int64_t bytes);
  // The line as it would be drawn after `seconds`.
  std::string line(double seconds) const;

 private:
  void draw();

  std::ostream& out_;
  bool shown_;
  int64_t total_items_;
  int64_t total_bytes_;
  Unit unit_;
  int64_t items_ = 0;
  int64_t bytes_ = 0;
  std::string name_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point drawn_{};
};

}  // namespace nibble::cli
