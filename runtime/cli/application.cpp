// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/application.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>

namespace nibble::cli {
namespace {

constexpr const char* kFooter =
    "Examples:\n"
    "  nibble info\n"
    "  nibble quantize model.safetensors -o model-nvfp4.safetensors\n"
    "  nibble quantize model-folder -o model-folder-nvfp4\n"
    "  nibble gemm a.npy b.npy -o d.npy\n"
    "  nibble inspect quantize --input bf16 --target sm_100a --ptx\n"
    "  nibble tune --family quantize --shape 16384x16384\n"
    "  nibble selftest\n"
    "  nibble cache stat\n"
    "\n"
    "Exit codes: 0 success, 1 the work failed, 2 wrong usage, 3 bad input file,\n"
    "  4 no usable device or compiler, 5 damaged cache entries.\n"
    "Environment: NIBBLE_DEVICE, NIBBLE_CACHE_DIR, NIBBLE_CACHE, NIBBLE_DRIVER_LIBRARY,\n"
    "  NIBBLE_NVRTC_LIBRARY, NIBBLE_EMULATOR_LIBRARY, NIBBLE_TEMPLATE_DIR, NIBBLE_TUNING,\n"
    "  NIBBLE_TUNING_FILE.";

// CLI11's messages may have several lines; ours have one.
std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

void report(const Outcome& outcome, const Session& session) {
  session.err << "nibble: " << exit_name(outcome.exit) << ": "
              << one_line(std::string(outcome.status.message())) << '\n';
  if (!outcome.status.detail().empty() && !session.quiet) {
    session.err << outcome.status.detail() << '\n';
  }
  if (!session.json) return;
  const nlohmann::ordered_json json = {{"error",
                                        {{"exit_code", static_cast<int>(outcome.exit)},
                                         {"kind", exit_name(outcome.exit)},
                                         {"code", code_name(outcome.status.code())},
                                         {"message", outcome.status.message()},
                                         {"detail", outcome.status.detail()}}}};
  session.out << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
}

Outcome act(const Action& action, Session& session) {
  try {
    return action(session);
  } catch (const std::bad_alloc&) {
    return {Exit::kFailed, Status(Code::kOutOfMemory, "host memory is used up")};
  } catch (const std::exception& error) {
    return {Exit::kFailed, Status(Code::kInternal, error.what())};
  }
}

}  // namespace

std::string_view exit_name(Exit exit) {
  switch (exit) {
    case Exit::kOk:
      return "ok";
    case Exit::kFailed:
      return "failed";
    case Exit::kUsage:
      return "usage";
    case Exit::kBadInput:
      return "bad input";
    case Exit::kNoDevice:
      return "no device";
    case Exit::kDamagedCache:
      return "damaged cache";
  }
  return "unknown";
}

Outcome failure(const Status& status, Exit invalid) {
  switch (status.code()) {
    case Code::kInvalidArgument:
      return {invalid, status};
    case Code::kUnsupported:
    case Code::kLibraryMissing:
    case Code::kLibraryTooOld:
    case Code::kNoDevice:
      return {Exit::kNoDevice, status};
    default:
      return {Exit::kFailed, status};
  }
}

Options Session::library_options() const {
  Options options = Options::from_environment();
  if (!device.empty()) options.device = device;
  options.log = [this](LogLevel level, std::string_view message) {
    if (level == LogLevel::kWarning && !quiet) err << "nibble: warning: " << message << '\n';
  };
  return options;
}

int run(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err,
        bool err_is_terminal) {
  Session session{out, err, err_is_terminal, {}, false, false};
  Action action;
  CLI::App app("NVFP4 kernels generated at run time", "nibble");
  app.set_version_flag("--version", "nibble " NIBBLE_VERSION);
  app.footer(kFooter);
  app.require_subcommand(0, 1);  // so that an unknown command is named; none is refused below
  app.fallthrough();             // the options below may follow the command
  app.add_option("--device", session.device,
                 "cuda:N, emulator:sm_100a or none:sm_100a (default: $NIBBLE_DEVICE, GPU 0, or the "
                 "emulator)");
  app.add_flag("--json", session.json, "One JSON object on stdout, for machines");
  app.add_flag("--quiet", session.quiet, "No progress, no warnings, no table");
  add_info(app, &action);
  add_quantize(app, &action);
  add_gemm(app, &action);
  add_inspect(app, &action);
  add_tune(app, &action);
  add_selftest(app, &action);
  add_cache(app, &action);
  add_make_checkpoint(app, &action);
  try {
    // CLI11 takes the arguments last first.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::Success& help) {
    return app.exit(help, out, err);
  } catch (const CLI::ParseError& error) {
    const Outcome outcome{Exit::kUsage, Status(Code::kInvalidArgument,
                                               std::string(error.what()) + " (see nibble --help)")};
    report(outcome, session);
    return static_cast<int>(outcome.exit);
  }
  if (!action) {
    action = [](Session&) {
      return Outcome{Exit::kUsage,
                     Status(Code::kInvalidArgument, "a command is required (see nibble --help)")};
    };
  }
  Outcome outcome = act(action, session);
  if (outcome.exit == Exit::kOk && !out.flush()) {
    outcome = {Exit::kFailed, Status(Code::kIoError, "stdout cannot be written")};
  }
  if (!outcome.status.ok()) report(outcome, session);
  return static_cast<int>(outcome.exit);
}

}  // namespace nibble::cli
