// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// nibble selftest: whether the kernels are right on this device.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "autotune/selftest.h"
#include "runtime/cli/application.h"
#include "runtime/cli/progress.h"
#include "runtime/cli/table.h"
#include "runtime/jit/tuning.h"

namespace nibble::cli {
namespace {

using autotune::Checked;
using autotune::Problem;
using autotune::Verdict;

struct SelftestOptions {
  std::set<std::string> families;  // empty: all
  size_t configurations = 4;
  uint64_t seed = 0;
};

struct Summary {
  int64_t problems = 0;
  int64_t configurations = 0;
  int64_t wrong = 0;  // of them, or failed
  std::set<std::string>
      without_kernel;  // families with problems that this target has no kernel for
  Table table{{{"problem"}, {"configuration"}, {"verdict"}}};
  nlohmann::ordered_json json = nlohmann::ordered_json::array();

  void add(const Checked& checked) {
    ++problems;
    nlohmann::ordered_json wrong_ones = nlohmann::ordered_json::array();
    for (const autotune::Outcome& outcome : checked.outcomes) {
      ++configurations;
      if (outcome.verdict == Verdict::kRight) continue;
      ++wrong;
      const std::string config = config_text(outcome.spec);
      const std::string verdict(verdict_text(outcome.verdict));
      table.add({checked.problem, config, verdict + ": " + outcome.reason});
      wrong_ones.push_back({{"config", config}, {"verdict", verdict}, {"reason", outcome.reason}});
    }
    json.push_back({{"problem", checked.problem},
                    {"configurations", checked.outcomes.size()},
                    {"wrong", wrong_ones}});
  }

  std::string text() const {
    std::string text = std::to_string(problems) + " problems, " + std::to_string(configurations) +
                       " configurations: " +
                       (wrong == 0 ? "all right" : std::to_string(wrong) + " WRONG or failed");
    for (const std::string& family : without_kernel) {
      text += "\nno kernel of " + family + " for this target";
    }
    return text;
  }
};

Outcome check_all(const Context& context, const std::vector<Problem>& problems,
                  const SelftestOptions& options, Session& session, Summary* summary) {
  Progress bar(session.err, session.shows_progress(), std::ssize(problems), std::ssize(problems),
               Progress::Unit::kSteps);
  for (const Problem& problem : problems) {
    bar.start_item(problem.family);
    const Result<Checked> checked =
        autotune::check_problem(context, problem, options.configurations, options.seed);
    bar.advance(1);
    if (checked.ok()) {
      summary->add(*checked);
    } else if (checked.status().code() == Code::kUnsupported) {
      summary->without_kernel.insert(problem.family);
    } else {
      return failure(checked.status(), Exit::kFailed);
    }
  }
  return {};
}

Outcome selftest_command(const SelftestOptions& options, Session& session) {
  Options library = session.library_options();
  library.tuning = "off";  // what the families choose
  Result<Context> context = Context::create(library);
  if (!context.ok()) return failure(context.status());
  std::vector<Problem> problems = autotune::selftest_problems(context->device());
  std::set<std::string> known;
  for (const Problem& problem : problems) known.insert(problem.family);
  for (const std::string& family : options.families) {
    if (known.contains(family)) continue;
    std::string names;
    for (const std::string& name : known) names += (names.empty() ? "" : ", ") + name;
    return {Exit::kUsage,
            Status(Code::kInvalidArgument, "--family " + family + ": must be one of " + names)};
  }
  std::erase_if(problems, [&](const Problem& problem) {
    return !options.families.empty() && !options.families.contains(problem.family);
  });
  Summary summary;
  Outcome outcome = check_all(*context, problems, options, session, &summary);
  if (!outcome.status.ok()) return outcome;
  const DeviceInfo& device = context->device();
  if (session.json) {
    const nlohmann::ordered_json json = {
        {"device", device.name},    {"target", device.target},
        {"problems", summary.json}, {"configurations", summary.configurations},
        {"wrong", summary.wrong},   {"without_kernel", summary.without_kernel}};
    session.out << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
  } else {
    if (!summary.table.empty()) summary.table.print(session.out);
    session.out << device.name << ", " << device.target << ": " << summary.text() << '\n';
  }
  if (summary.wrong == 0) return {};
  if (session.json) return {Exit::kFailed, {}};  // one object says it all
  return {Exit::kFailed, Status(Code::kInternal, std::to_string(summary.wrong) + " of " +
                                                     std::to_string(summary.configurations) +
                                                     " configurations are wrong or failed")};
}

}  // namespace

void add_selftest(CLI::App& app, Action* action) {
  CLI::App* command = app.add_subcommand(
      "selftest", "Hold the kernels of all families against plain ones, on this device");
  command->fallthrough();
  command->footer(
      "Examples:\n"
      "  nibble selftest\n"
      "  nibble selftest --family quantize --configurations 64 --seed 7");
  const auto options = std::make_shared<SelftestOptions>();
  command->add_option("--family", options->families, "Only these; repeatable");
  command
      ->add_option("--configurations", options->configurations,
                   "Of each problem: the family's own choice, and others")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Draws the others")->capture_default_str();
  command->callback([action, options] {
    *action = [options](Session& session) { return selftest_command(*options, session); };
  });
}

}  // namespace nibble::cli
