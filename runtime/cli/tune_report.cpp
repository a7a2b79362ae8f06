// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/tune_report.h"

#include <algorithm>
#include <cstdio>

#include "runtime/cli/table.h"
#include "runtime/jit/tuning.h"

namespace nibble::cli {

namespace {

std::string verdict_of(const autotune::Report& report, size_t i) {
  const autotune::Outcome& outcome = report.outcomes[i];
  std::string text(verdict_text(outcome.verdict));
  if (i == 0) text += ", the default";
  return outcome.reason.empty() ? text : text + ": " + outcome.reason;
}

}  // namespace

std::string fixed(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

void print_outcomes(const autotune::Report& report, int64_t bytes, std::ostream& out) {
  Table table({{"configuration"},
               {"us", true},
               {"noise", true},
               {"GB/s", true},
               {"speed", true},
               {"samples", true},
               {"verdict"}});
  std::vector<size_t> order;
  for (size_t i = 0; i < report.outcomes.size(); ++i) order.push_back(i);
  // The fastest first; after them what has no time.
  const auto key = [&](size_t i) {
    const double median = report.outcomes[i].median();
    return median > 0 ? median : 1e9;
  };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) < key(b); });
  const double standard = report.outcomes.front().median();
  for (const size_t i : order) {
    const autotune::Outcome& outcome = report.outcomes[i];
    const double median = outcome.median();
    std::vector<std::string> cells{config_text(outcome.spec), "-", "-", "-", "-", "-",
                                   verdict_of(report, i)};
    if (median > 0) {
      cells[1] = fixed(median * 1e6, 2);
      cells[2] = fixed(outcome.noise() * 100, 2) + " %";
      cells[3] = fixed(static_cast<double>(bytes) / median * 1e-9, 0);
      cells[4] = fixed(standard / median, 3);
      cells[5] = std::to_string(outcome.seconds.size());
    }
    table.add(std::move(cells));
  }
  table.print(out);
}

nlohmann::ordered_json outcomes_json(const autotune::Report& report) {
  auto list = nlohmann::ordered_json::array();
  for (const autotune::Outcome& outcome : report.outcomes) {
    list.push_back({{"config", config_text(outcome.spec)},
                    {"verdict", verdict_text(outcome.verdict)},
                    {"reason", outcome.reason},
                    {"microseconds", outcome.median() * 1e6},
                    {"noise", outcome.noise()},
                    {"samples", outcome.seconds.size()}});
  }
  return list;
}

}  // namespace nibble::cli
