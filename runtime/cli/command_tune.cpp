// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// nibble tune: measures configurations of a kernel and records the fastest; lists what is recorded.
#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <csignal>
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
#include "runtime/cli/tune_report.h"

namespace nibble::cli {
namespace {

using Json = nlohmann::ordered_json;
using autotune::DeviceMachine;

constexpr int64_t kProgressSteps = 1000;

struct TuneOptions {
  autotune::Problem problem;
  std::vector<std::string> shapes;
  autotune::Limits limits;  // of all shapes together
  size_t candidates = 64;
  uint64_t seed = 0;
  bool again = false;
};

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

// While it lives, the first SIGINT asks the tuner to come to an end; the next one kills.
class InterruptGuard {
 public:
  InterruptGuard() {
    interrupted = false;
    struct sigaction action = {};
    action.sa_handler = [](int) { interrupted = true; };
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    ::sigaction(SIGINT, &action, &before_);
  }
  ~InterruptGuard() { ::sigaction(SIGINT, &before_, nullptr); }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  struct sigaction before_ = {};
};

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

struct RecordPlace {
  std::string directory;  // empty: there is none
  std::string why_not;    // nothing is recorded there
};

RecordPlace record_place(const Context& context, const Options& options) {
  RecordPlace place{context.cache_directory(), {}};
  if (options.cache_mode == "readonly") place.why_not = "the cache is read-only";
  if (place.directory.empty()) place.why_not = "there is no cache directory";
  return place;
}

// What became of the choice, in a sentence; where recording failed, also a failure.
Outcome conclude(const RecordPlace& place, const DeviceMachine& machine,
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
    *sentence = "nothing is recorded: there was too little time for the default (" + record.config +
                "). What was compiled is kept";
    return {};
  }
  *sentence = record.problem + ": " + record.config + ", " +
              fixed(record.default_microseconds / record.microseconds, 3) +
              " times as fast as the default";
  if (!place.why_not.empty()) {
    *sentence += "; not recorded, for " + place.why_not;
    return {};
  }
  if (const auto problem = cache::record_tuning(place.directory, {record})) {
    return {Exit::kFailed, Status(Code::kIoError, place.directory + ": " + *problem)};
  }
  *sentence +=
      "; recorded in " + place.directory + "/" + cache::kTuningFolder + "/" + cache::kTuningFile;
  return {};
}

Result<autotune::Report> run_tuner(DeviceMachine& machine, const TuneOptions& options,
                                   const autotune::Limits& limits, Session& session) {
  const auto specs = autotune::candidates(machine.chosen(), options.candidates, options.seed);
  Progress bar(session.err, session.shows_progress(), 1, kProgressSteps, Progress::Unit::kSteps);
  int64_t shown = 0;
  return autotune::tune(machine, specs, limits, [&](double done, const std::string& config) {
    const auto step = static_cast<int64_t>(done * kProgressSteps);
    bar.name_item(config);
    bar.advance(step - shown);
    shown = step;
  });
}

// The record that the table has for the machine's problem, of the templates in use.
std::optional<cache::TuningRecord> known_record(const std::string& directory,
                                                const DeviceMachine& machine) {
  const cache::TuningRecord wanted = machine.record(machine.chosen());
  for (const cache::TuningRecord& one : cache::read_tuning_table(directory).table.records) {
    if (one.gpu == wanted.gpu && one.problem == wanted.problem &&
        one.templates == wanted.templates) {
      return one;
    }
  }
  return std::nullopt;
}

Json report_json(const DeviceMachine& machine, const autotune::Report& report) {
  const cache::TuningRecord record = record_of(machine, report);
  return {{"gpu", record.gpu},
          {"problem", record.problem},
          {"templates", record.templates},
          {"config", record.config},
          {"timed", report.timed},
          {"out_of_time", report.out_of_time},
          {"interrupted", report.stopped},
          {"bytes", machine.bytes()},
          {"buffer_sets", machine.sets()},
          {"candidates", outcomes_json(report)}};
}

// Tunes one shape within `budget` seconds.
Outcome tune_shape(const Context& context, const RecordPlace& place,
                   const autotune::Problem& problem, double budget, const TuneOptions& options,
                   Session& session) {
  auto made = DeviceMachine::create(context, problem);
  if (!made.ok()) return failure(made.status());
  DeviceMachine& machine = **made;
  if (!options.again && !place.directory.empty()) {
    if (const auto known = known_record(place.directory, machine)) {
      if (session.json) {
        print({{"problem", known->problem}, {"config", known->config}, {"known", true}}, session);
      } else {
        session.out << known->problem << ": known, " << known->config
                    << " (--again measures anew)\n";
      }
      return {};
    }
  }
  autotune::Limits limits = options.limits;
  limits.budget = budget;
  limits.stop = [] { return interrupted.load(); };
  const Result<autotune::Report> report = run_tuner(machine, options, limits, session);
  if (!report.ok()) return failure(report.status(), Exit::kFailed);
  std::string sentence;
  Outcome outcome = conclude(place, machine, *report, &sentence);
  if (session.json) {
    print(report_json(machine, *report), session);
    return outcome;
  }
  if (!session.quiet) print_outcomes(*report, machine.bytes(), session.out);
  if (report->stopped) session.out << "interrupted\n";
  if (report->out_of_time) session.out << "the budget of time ended before the work did\n";
  if (!sentence.empty() && outcome.status.ok()) session.out << sentence << '\n';
  return outcome;
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Shape after shape, each recorded before the next one begins: what an interrupted run has found
// is known to the next.
Outcome tune_command(const TuneOptions& options, Session& session) {
  if (options.shapes.empty()) {
    return {Exit::kUsage, Status(Code::kInvalidArgument, "--shape ROWSxCOLUMNS is missing")};
  }
  std::vector<autotune::Problem> problems(options.shapes.size(), options.problem);
  for (size_t i = 0; i < problems.size(); ++i) {
    if (!parse_shape(options.shapes[i], &problems[i])) {
      return {Exit::kUsage,
              Status(Code::kInvalidArgument, "--shape " + options.shapes[i] +
                                                 ": must be ROWSxCOLUMNS, each from 1 to "
                                                 "2147483647")};
    }
  }
  Options library = session.library_options();
  library.tuning = "off";  // it is the families' own choice that is to be beaten
  Result<Context> context = Context::create(library);
  if (!context.ok()) return failure(context.status());
  const RecordPlace place = record_place(*context, library);
  const InterruptGuard guard;
  const double end = now() + options.limits.budget;
  for (size_t i = 0; i < problems.size() && !interrupted; ++i) {
    // What a shape does not use up is for the others.
    const double budget = std::max(1e-3, end - now()) / static_cast<double>(problems.size() - i);
    Outcome outcome = tune_shape(*context, place, problems[i], budget, options, session);
    if (!outcome.status.ok()) return outcome;
  }
  if (!interrupted) return {};
  return {Exit::kFailed, Status(Code::kInternal, "interrupted")};
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

template <class Value>
void add_choice(CLI::App& command, const std::string& name, Value* value,
                const std::map<std::string, Value>& choices, const std::string& standard,
                const std::string& meaning) {
  command.add_option(name, *value, meaning)
      ->transform(CLI::CheckedTransformer(choices))
      ->default_str(standard);
}

void add_problem_options(CLI::App& command, autotune::Problem* problem) {
  command
      .add_option(
          "--family", problem->family,
          "amax, amax_rows, quantize, dequantize, hadamard, hadamard_columns, scale_layout, "
          "gemm (of NVFP4)")
      ->capture_default_str();
  add_choice<DataType>(
      command, "--type", &problem->type,
      {{"f32", DataType::kF32}, {"f16", DataType::kF16}, {"bf16", DataType::kBf16}}, "bf16",
      "f32, f16 or bf16: the high-precision side");
  add_choice<ScaleLayout>(
      command, "--layout", &problem->layout,
      {{"row_major", ScaleLayout::kRowMajor}, {"128x4", ScaleLayout::k128x4}}, "row_major",
      "row_major or 128x4: where the scales lie; scale_layout: the one it makes");
  command.add_option(
      "--size", problem->size,
      "Elements of a Hadamard transform (default: the whole row or column; of quantize: 16)");
  command.add_option("--depth", problem->depth, "k of a matrix multiplication");
  add_choice<QuantizedFormat>(command, "--format", &problem->format,
                              {{"nvfp4", QuantizedFormat::kNvfp4},
                               {"mxfp4", QuantizedFormat::kMxfp4},
                               {"mxfp8", QuantizedFormat::kMxfp8}},
                              "nvfp4", "nvfp4, mxfp4 or mxfp8: the quantised side");
  add_choice<Copies>(
      command, "--copies", &problem->copies,
      {{"rows", Copies::kRowWise}, {"transposed", Copies::kTransposed}, {"both", Copies::kBoth}},
      "rows", "rows, transposed or both: what quantize makes");
  add_choice<BlockShape>(command, "--blocks", &problem->blocks,
                         {{"row", BlockShape::kRow}, {"square", BlockShape::kSquare}}, "row",
                         "row or square: the blocks of quantize");
  add_choice<Rounding>(command, "--rounding", &problem->rounding,
                       {{"nearest", Rounding::kNearestEven}, {"stochastic", Rounding::kStochastic}},
                       "nearest", "nearest or stochastic: how quantize rounds");
  add_choice<BlockScaling>(
      command, "--scaling", &problem->scaling,
      {{"largest", BlockScaling::kLargest}, {"four_over_six", BlockScaling::kFourOverSix}},
      "largest", "largest or four_over_six: the scales of NVFP4 blocks");
  command.add_flag("--transform", problem->transform,
                   "quantize after a random Hadamard transform of its last copy");
}

void add_options(CLI::App& command, TuneOptions* options) {
  add_problem_options(command, &options->problem);
  command.add_option("--shape", options->shapes,
                     "ROWSxCOLUMNS, one or more: shapes near it share the result");
  command
      .add_option("--budget", options->limits.budget,
                  "Time that all shapes may take: 30s, 500ms, 2min")
      ->transform(
          CLI::AsNumberWithUnit(std::map<std::string, double>{{"ms", 1e-3}, {"s", 1}, {"min", 60}}))
      ->check(CLI::PositiveNumber)
      ->default_str("30s");
  command
      .add_option("--candidates", options->candidates,
                  "Configurations to try; those that differ in one constant are always tried")
      ->capture_default_str();
  command.add_option("--seed", options->seed, "Draws the others")->capture_default_str();
  command.add_flag("--again", options->again, "Shapes that have a record too");
}

}  // namespace

void add_tune(CLI::App& app, Action* action) {
  CLI::App* command =
      app.add_subcommand("tune", "Measure configurations of a kernel, record the fastest");
  command->fallthrough();
  command->footer(
      "Examples:\n"
      "  nibble tune --family quantize --shape 16384x16384 --type bf16 --budget 30s\n"
      "  nibble tune --family hadamard --size 8192 --shape 4096x8192 512x8192 --budget 2min\n"
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
