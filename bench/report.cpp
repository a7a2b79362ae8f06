// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <thread>

#include <CLI/CLI.hpp>

namespace nibble::bench {

namespace {

double quantile(std::vector<double>& samples, double q) {
  const double place = q * static_cast<double>(samples.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, samples.size() - 1);
  std::sort(samples.begin(), samples.end());
  return samples[below] + (place - static_cast<double>(below)) * (samples[above] - samples[below]);
}

// Four significant digits, no exponent.
std::string number(double value) {
  if (std::isnan(value)) return "";
  const double magnitude = std::abs(value);
  const int decimals = magnitude >= 1000 ? 0 : magnitude >= 100 ? 1 : magnitude >= 10 ? 2 : 3;
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

std::string goal_text(const char* relation, double goal, bool met) {
  return std::string(relation) + " " + number(goal) + (met ? ": met" : ": MISSED");
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "unknown CPU";
}

double load_average() {
  double load = 0;
  return getloadavg(&load, 1) == 1 ? load : kNone;
}

std::string quoted(const std::string& text) {
  std::string all = "\"";
  for (const char c : text) all += c == '"' ? std::string("\"\"") : std::string(1, c);
  return all + "\"";
}

std::string today() {
  char text[16];
  const std::time_t now = std::time(nullptr);
  std::strftime(text, sizeof text, "%Y-%m-%d", std::gmtime(&now));
  return text;
}

}  // namespace

double median(std::vector<double> samples) { return quantile(samples, 0.5); }

double spread(std::vector<double> samples) {
  const double middle = quantile(samples, 0.5);
  return middle == 0 ? 0 : (quantile(samples, 0.75) - quantile(samples, 0.25)) / std::abs(middle);
}

void Report::add_options(CLI::App& app) {
  machine_ = processor_name() + " x " + std::to_string(std::thread::hardware_concurrency());
  app.add_option("--csv", csv_, "Write the lines to this file too");
  app.add_option("--commit", commit_, "The commit that was built, for the CSV");
  app.add_option("--machine", machine_, "The machine's name, for the CSV");
}

void Report::set_device(std::string gpu, int driver_version) {
  gpu_ = std::move(gpu);
  driver_ =
      std::to_string(driver_version / 1000) + "." + std::to_string(driver_version % 1000 / 10);
}

double Report::add(Line line) {
  Row row;
  row.median = median(line.samples);
  row.spread = spread(line.samples);
  if (!line.baseline.empty()) {
    const auto base = std::find_if(rows_.begin(), rows_.end(), [&](const Row& earlier) {
      return earlier.line.label == line.baseline && earlier.line.unit == line.unit;
    });
    if (base == rows_.end()) {
      std::fprintf(stderr, "%s: no line '%s'\n", line.label.c_str(), line.baseline.c_str());
      std::exit(1);
    }
    row.ratio = row.median / base->median;
  }
  if (!std::isnan(line.at_most)) {
    row.goal = goal_text("<=", line.at_most, row.median <= line.at_most);
  } else if (!std::isnan(line.at_least)) {
    row.goal = goal_text(">=", line.at_least, row.median >= line.at_least);
  } else if (!std::isnan(line.ratio_at_least)) {
    row.goal = goal_text("ratio >=", line.ratio_at_least, row.ratio >= line.ratio_at_least);
  }
  const double result = row.median;
  row.line = std::move(line);
  rows_.push_back(std::move(row));
  return result;
}

bool Report::finish() const {
  const bool written = write_csv();
  print();
  return written;
}

void Report::print() const {
  size_t width = 5, unit_width = 4, detail_width = 0;
  for (const Row& row : rows_) {
    if (!row.line.in_table) continue;
    width = std::max(width, row.line.label.size());
    unit_width = std::max(unit_width, row.line.unit.size());
    detail_width = std::max(detail_width, row.line.detail.size());
  }
  const auto columns = [&](const char* label, const char* value, const char* unit,
                           const char* spread, const char* detail, const char* ratio,
                           const char* rest) {
    std::printf("%-*s %10s %-*s %7s  %-*s %8s  %s\n", static_cast<int>(width), label, value,
                static_cast<int>(unit_width), unit, spread, static_cast<int>(detail_width), detail,
                ratio, rest);
  };
  std::printf("\n%s on %s, load %.1f, GPU %s, driver %s, commit %s\n", program_.c_str(),
              machine_.c_str(), load_average(), gpu_.c_str(), driver_.c_str(), commit_.c_str());
  columns("label", "median", "unit", "spread", "", "ratio", "to baseline / goal");
  for (const Row& row : rows_) {
    if (!row.line.in_table) continue;
    char percent[16];
    std::snprintf(percent, sizeof percent, "%.1f%%", 100 * row.spread);
    std::string rest = row.line.baseline;
    if (!row.goal.empty()) rest += (rest.empty() ? "" : "; ") + row.goal;
    columns(row.line.label.c_str(), number(row.median).c_str(), row.line.unit.c_str(), percent,
            row.line.detail.c_str(), number(row.ratio).c_str(), rest.c_str());
  }
}

bool Report::write_csv() const {
  if (csv_.empty()) return true;
  std::ofstream file(csv_);
  file << "date,program,machine,load,gpu,driver,commit,label,unit,median,spread,samples,"
          "baseline,ratio,goal,detail\n";
  for (const Row& row : rows_) {
    const Line& line = row.line;
    file << today() << ',' << program_ << ',' << quoted(machine_) << ',' << number(load_average())
         << ',' << quoted(gpu_) << ',' << driver_ << ',' << commit_ << ',' << quoted(line.label)
         << ',' << line.unit << ',' << number(row.median) << ',' << number(row.spread) << ','
         << line.samples.size() << ',' << quoted(line.baseline) << ',' << number(row.ratio) << ','
         << quoted(row.goal) << ',' << quoted(line.detail) << '\n';
  }
  if (file.flush()) return true;
  std::fprintf(stderr, "%s: cannot be written\n", csv_.c_str());
  return false;
}

}  // namespace nibble::bench
