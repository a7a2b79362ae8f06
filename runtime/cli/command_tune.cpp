// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// nibble tune: measures configurations of a kernel and records the fastest; lists what is recorded.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "autotune/candidates.h"
#include "autotune/device_machine.h"
#include "cache/location.h"
#include "cache/tuning_table.h"
#include "runtime/cli/application.h"
#include "runtime/cli/progress.h"
#include "runtime/cli/table.h"

namespace nibble::cli {
namespace {

using Json = nlohmann::ordered_json;
using autotune::DeviceMachine;

constexpr int64_t kProgressSteps = 1000;

struct TuneOptions {
  autotune::Problem problem;
  std::string shape;
  autotune::Limits limits;
  size_t candidates = 64;
  uint64_t seed = 0;
};

std::string fixed(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

std::string now_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

void print(const Json& json, Session& session) {
  session.out << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

bool parse_shape(const std::string& text, autotune::Problem* problem) {
  long long rows = 0;
  long long columns = 0;
  char end = 0;
  if (std::sscanf(text.c_str(), "%lldx%lld%c", &rows, &columns, &end) != 2) return false;
  problem->rows = rows;
  problem->columns = columns;
  return rows >= 1 && columns >= 1 && rows <= INT32_MAX && columns <= INT32_MAX;
}

// The evidence of the chosen configuration.
cache::TuningRecord record_of(const DeviceMachine& machine, const autotune::Report& report) {
  const autotune::Outcome& chosen = report.outcomes[report.chosen];
  cache::TuningRecord record = machine.record(chosen.spec);
  record.microseconds = chosen.median() * 1e6;
  record.default_microseconds = report.outcomes.front().median() * 1e6;
  record.noise = chosen.noise();
  record.date = now_text();
  return record;
}

std::string verdict_of(const autotune::Report& report, size_t i) {
  const autotune::Outcome& outcome = report.outcomes[i];
  std::string text(verdict_text(outcome.verdict));
  if (i == 0) text += ", the default";
  return outcome.reason.empty() ? text : text + ": " + outcome.reason;
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

Json outcomes_json(const autotune::Report& report) {
  Json list = Json::array();
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

// What became of the choice, in a sentence; where recording failed, also a failure.
Outcome conclude(const Context& context, const DeviceMachine& machine,
                 const autotune::Report& report, std::string* sentence) {
  const cache::TuningRecord record = record_of(machine, report);
  if (!machine.has_times()) {
    *sentence =
        "nothing is measured or recorded: an emulated GPU has no times. The family's rule "
        "chooses " +
        record.config;
    return {};
  }
  if (!report.timed) {
    *sentence =
        "nothing is recorded: the budget was too small to time the default (" + record.config + ")";
    return {};
  }
  const std::string directory = context.cache_directory();
  *sentence = record.problem + ": " + record.config + ", " +
              fixed(record.default_microseconds / record.microseconds, 3) +
              " times as fast as the default";
  if (directory.empty()) {
    *sentence += "; not recorded, for there is no cache directory";
    return {};
  }
  if (const auto problem = cache::record_tuning(directory, {record})) {
    return {Exit::kFailed, Status(Code::kIoError, directory + ": " + *problem)};
  }
  *sentence += "; recorded in " + directory + "/" + cache::kTuningFolder + "/" + cache::kTuningFile;
  return {};
}

Result<autotune::Report> run_tuner(DeviceMachine& machine, const TuneOptions& options,
                                   Session& session) {
  const auto specs = autotune::candidates(machine.chosen(), options.candidates, options.seed);
  Progress bar(session.err, session.shows_progress(), 1, kProgressSteps, Progress::Unit::kSteps);
  int64_t shown = 0;
  return autotune::tune(machine, specs, options.limits,
                        [&](double done, const std::string& config) {
                          const auto step = static_cast<int64_t>(done * kProgressSteps);
                          bar.name_item(config);
                          bar.advance(step - shown);
                          shown = step;
                        });
}

Outcome tune_command(TuneOptions options, Session& session) {
  if (!parse_shape(options.shape, &options.problem)) {
    return {Exit::kUsage, Status(Code::kInvalidArgument, "--shape " + options.shape +
                                                             ": must be ROWSxCOLUMNS, each from 1 "
                                                             "to 2147483647")};
  }
  Options library = session.library_options();
  library.tuning = "off";  // it is the families' own choice that is to be beaten
  Result<Context> context = Context::create(library);
  if (!context.ok()) return failure(context.status());
  auto machine = DeviceMachine::create(*context, options.problem);
  if (!machine.ok()) return failure(machine.status());
  const Result<autotune::Report> report = run_tuner(**machine, options, session);
  if (!report.ok()) return failure(report.status(), Exit::kFailed);
  std::string sentence;
  Outcome outcome = conclude(*context, **machine, *report, &sentence);
  if (session.json) {
    const cache::TuningRecord record = record_of(**machine, *report);
    print({{"gpu", record.gpu},
           {"problem", record.problem},
           {"config", record.config},
           {"timed", report->timed},
           {"out_of_time", report->out_of_time},
           {"bytes", (*machine)->bytes()},
           {"buffer_sets", (*machine)->sets()},
           {"candidates", outcomes_json(*report)}},
          session);
    return outcome;
  }
  if (!session.quiet) print_outcomes(*report, (*machine)->bytes(), session.out);
  if (report->out_of_time) session.out << "the budget of time ended before the work did\n";
  if (!sentence.empty() && outcome.status.ok()) session.out << sentence << '\n';
  return outcome;
}

Outcome list_command(Session& session) {
  const Options library = session.library_options();
  std::string path = library.tuning_file;
  if (path.empty() && !library.cache_directory.empty()) {
    path = library.cache_directory + '/' + cache::kTuningFolder + '/' + cache::kTuningFile;
  }
  const cache::TuningFile file = library.tuning_file.empty()
                                     ? cache::read_tuning_table(library.cache_directory)
                                     : cache::read_tuning_file(library.tuning_file);
  if (!file.problem.empty()) {
    return {Exit::kBadInput, Status(Code::kIoError, path + ": " + file.problem)};
  }
  Json records = Json::array();
  Table table({{"problem"}, {"configuration"}, {"us", true}, {"speed", true}, {"date"}, {"GPU"}});
  for (const cache::TuningRecord& one : file.table.records) {
    table.add({one.problem, one.config, fixed(one.microseconds, 2),
               fixed(one.default_microseconds / one.microseconds, 3), one.date, one.gpu});
    records.push_back({{"gpu", one.gpu},
                       {"problem", one.problem},
                       {"templates", one.templates},
                       {"config", one.config},
                       {"microseconds", one.microseconds},
                       {"default_microseconds", one.default_microseconds},
                       {"noise", one.noise},
                       {"date", one.date}});
  }
  if (session.json) {
    print({{"file", path}, {"damaged", file.table.damaged}, {"records", records}}, session);
    return {};
  }
  if (!table.empty()) table.print(session.out);
  if (file.table.damaged > 0) session.out << file.table.damaged << " damaged records\n";
  return {};
}

void add_options(CLI::App& command, TuneOptions* options) {
  command
      .add_option("--family", options->problem.family,
                  "amax, quantize, dequantize, hadamard or hadamard_columns")
      ->capture_default_str();
  command.add_option("--shape", options->shape, "ROWSxCOLUMNS: shapes near it share the result");
  command.add_option("--type", options->problem.type, "f32, f16 or bf16: the high-precision side")
      ->transform(CLI::CheckedTransformer(std::map<std::string, DataType>{
          {"f32", DataType::kF32}, {"f16", DataType::kF16}, {"bf16", DataType::kBf16}}))
      ->default_str("bf16");
  command
      .add_option("--layout", options->problem.layout, "row_major or 128x4: where the scales lie")
      ->transform(CLI::CheckedTransformer(std::map<std::string, ScaleLayout>{
          {"row_major", ScaleLayout::kRowMajor}, {"128x4", ScaleLayout::k128x4}}))
      ->default_str("row_major");
  command.add_option("--size", options->problem.size,
                     "Elements of a Hadamard transform (default: the whole row or column)");
  command.add_option("--budget", options->limits.budget, "Time that it may take: 30s, 500ms, 2min")
      ->transform(
          CLI::AsNumberWithUnit(std::map<std::string, double>{{"ms", 1e-3}, {"s", 1}, {"min", 60}}))
      ->check(CLI::PositiveNumber)
      ->default_str("30s");
  command
      .add_option("--candidates", options->candidates,
                  "Configurations to try; those that differ in one constant are always tried")
      ->capture_default_str();
  command.add_option("--seed", options->seed, "Draws the others")->capture_default_str();
}

}  // namespace

void add_tune(CLI::App& app, Action* action) {
  CLI::App* command =
      app.add_subcommand("tune", "Measure configurations of a kernel, record the fastest");
  command->fallthrough();
  command->footer(
      "Examples:\n"
      "  nibble tune --family quantize --shape 16384x16384 --type bf16 --budget 30s\n"
      "  nibble tune list");
  const auto options = std::make_shared<TuneOptions>();
  add_options(*command, options.get());
  CLI::App* list = command->add_subcommand("list", "What is recorded");
  command->callback([action, options, list] {
    if (list->parsed()) {
      *action = list_command;
    } else {
      *action = [options](Session& session) { return tune_command(*options, session); };
    }
  });
}

}  // namespace nibble::cli
