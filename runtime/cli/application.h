// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The nibble command as a function: arguments in, text and an exit code out.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/context.hpp"
#include "nibble/status.hpp"

namespace CLI {
class App;
}

namespace nibble::cli {

// Stable: programs rely on them. README.md says when each occurs.
enum class Exit : int {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,
  kBadInput = 3,
  kNoDevice = 4,
  kDamagedCache = 5,
};

std::string_view exit_name(Exit exit);  // "bad input"

// How a command ended; success by default.
struct Outcome {
  Exit exit = Exit::kOk;
  Status status;
};

// The exit code for a failure of the library. `invalid`: what an invalid argument means where the
// call was made: the user's options, or the contents of a file.
Outcome failure(const Status& status, Exit invalid = Exit::kUsage);

struct Session {
  std::ostream& out;
  std::ostream& err;
  bool err_is_terminal = false;
  // The options of every command.
  std::string device;  // empty: from the environment
  bool json = false;
  bool quiet = false;

  // The environment's options with --device, warnings to `err` unless quiet.
  Options library_options() const;
  bool shows_progress() const { return err_is_terminal && !json && !quiet; }
};

using Action = std::function<Outcome(Session&)>;

// Each adds a command to `app`; when it is the one given, `action` gets what it does.
void add_info(CLI::App& app, Action* action);
void add_quantize(CLI::App& app, Action* action);
void add_gemm(CLI::App& app, Action* action);
void add_inspect(CLI::App& app, Action* action);
void add_cache(CLI::App& app, Action* action);
void add_make_checkpoint(CLI::App& app, Action* action);
void add_tune(CLI::App& app, Action* action);
void add_selftest(CLI::App& app, Action* action);

// The whole program. `arguments`: without the program's name. Lets no exception out.
int run(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err,
        bool err_is_terminal);

}  // namespace nibble::cli
