// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What every benchmark prints: one table, last, and the same lines as CSV. README.md says how to
// read a line.
#pragma once

#include <limits>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace nibble::bench {

double median(std::vector<double> samples);
// The middle half's width over the median: 0.02 is 2 %.
double spread(std::vector<double> samples);

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

struct Line {
  std::string label;
  std::string unit;
  std::vector<double> samples;
  std::string baseline{};  // label of an earlier line of the same unit; empty: none
  double at_most = kNone;  // a goal for the median
  double at_least = kNone;
  double ratio_at_least = kNone;  // a goal for the ratio to the baseline
  std::string detail{};           // the same said otherwise: "12.3 us"
  bool in_table = true;           // false: in the CSV alone
};

class Report {
 public:
  explicit Report(std::string program) : program_(std::move(program)) {}
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;

  // --csv, --commit, --machine
  void add_options(CLI::App& app);
  void set_device(std::string gpu, int driver_version);
  // Returns the median.
  double add(Line line);
  // Prints the table and writes the CSV; false, with a message, when that cannot be written.
  bool finish() const;

 private:
  struct Row {
    Line line;
    double median = 0, spread = 0, ratio = kNone;
    std::string goal;  // "", "<= 60: met", "<= 60: MISSED"
  };
  void print() const;
  bool write_csv() const;

  std::string program_;
  std::string csv_, commit_ = "unknown", machine_;
  std::string gpu_ = "none", driver_ = "none";
  std::vector<Row> rows_;
};

}  // namespace nibble::bench
