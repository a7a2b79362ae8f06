// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// nibble cache: look at, check and empty the folder of compiled kernels.
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string>

#include "cache/store.h"
#include "runtime/cli/application.h"
#include "runtime/cli/cache_store.h"
#include "runtime/cli/progress.h"
#include "runtime/cli/table.h"

namespace nibble::cli {
namespace {

using Json = nlohmann::ordered_json;

struct CacheOptions {
  std::string directory;
  bool yes = false;
};

void print(const Json& json, Session& session) {
  session.out << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

std::string time_text(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

// The first line of a kernel's source, which its key text contains, says what it is.
std::string label_of(const std::string& key_text) {
  const size_t start = key_text.find("// ");
  if (start == std::string::npos) return {};
  return key_text.substr(start + 3, key_text.find('\n', start) - start - 3);
}

std::string amount(uint64_t entries, uint64_t bytes) {
  return std::to_string(entries) + (entries == 1 ? " entry, " : " entries, ") +
         bytes_text(static_cast<double>(bytes));
}

Outcome stat(cache::Store& store, Session& session) {
  const cache::StoreStat stat = store.stat();
  if (session.json) {
    print({{"directory", store.directory()}, {"entries", stat.entries}, {"bytes", stat.bytes}},
          session);
  } else {
    session.out << store.directory() << ": " << amount(stat.entries, stat.bytes) << '\n';
  }
  return {};
}

Outcome list(cache::Store& store, Session& session) {
  Json entries = Json::array();
  Table table({{"name"}, {"bytes", true}, {"last used"}, {"kernel"}});
  for (const cache::EntryInfo& entry : store.list()) {
    const std::string label = label_of(entry.key_text);
    table.add({entry.name, std::to_string(entry.file_bytes), time_text(entry.last_used), label});
    entries.push_back({{"name", entry.name},
                       {"kernel", label},
                       {"file_bytes", entry.file_bytes},
                       {"payload_bytes", entry.payload_bytes},
                       {"last_used", time_text(entry.last_used)}});
  }
  if (session.json) {
    print({{"directory", store.directory()}, {"entries", entries}}, session);
  } else if (!table.empty()) {
    table.print(session.out);
  }
  return {};
}

Outcome verify(cache::Store& store, Session& session) {
  const cache::VerifyReport report = store.verify();
  Json damaged = Json::array();
  for (const cache::DamagedEntry& entry : report.damaged) {
    damaged.push_back({{"path", entry.path}, {"reason", entry.reason}});
    if (!session.json) session.out << entry.path << ": " << entry.reason << '\n';
  }
  if (session.json) {
    print({{"directory", store.directory()},
           {"entries", report.entries},
           {"bytes", report.bytes},
           {"damaged", damaged}},
          session);
  } else {
    session.out << amount(report.entries, report.bytes) << ", " << report.damaged.size()
                << " damaged\n";
  }
  if (report.damaged.empty()) return {};
  // They harm nothing: each counts as absent and is replaced when its kernel is next compiled.
  return {Exit::kDamagedCache, {}};
}

Outcome clear(cache::Store& store, Session& session) {
  const cache::ClearReport report = store.clear();
  if (session.json) {
    print({{"directory", store.directory()},
           {"removed", report.removed},
           {"bytes", report.bytes},
           {"failed", report.failed}},
          session);
  } else if (!session.quiet) {
    session.out << "removed " << amount(report.removed, report.bytes) << '\n';
  }
  if (report.failed == 0) return {};
  return {Exit::kFailed,
          Status(Code::kIoError, store.directory() + ": " + std::to_string(report.failed) +
                                     " entries could not be removed")};
}

Outcome with_store(const CacheOptions& options, cache::Mode mode, Session& session,
                   Outcome (*command)(cache::Store&, Session&)) {
  std::string directory = options.directory;
  if (directory.empty()) directory = Options::from_environment().cache_directory;
  if (directory.empty()) directory = cache::default_directory();
  if (directory.empty() || directory[0] != '/') {
    return {Exit::kUsage, Status(Code::kInvalidArgument,
                                 "cache folder \"" + directory + "\": must be an absolute path")};
  }
  struct stat status {};
  const bool exists = ::stat(directory.c_str(), &status) == 0;
  // A folder that is not there is an empty cache; nothing is made just to be looked at.
  const auto store = open_cache(session, directory, exists ? mode : cache::Mode::kReadOnly);
  return command(*store, session);
}

Outcome run_clear(const CacheOptions& options, Session& session) {
  if (!options.yes) {
    return {Exit::kUsage,
            Status(Code::kInvalidArgument, "cache clear removes every compiled kernel: add --yes")};
  }
  return with_store(options, cache::Mode::kReadWrite, session, clear);
}

}  // namespace

std::unique_ptr<cache::Store> open_cache(const Session& session, const std::string& directory,
                                         cache::Mode mode) {
  cache::StoreOptions options;
  options.directory = directory;
  options.mode = directory.empty() ? cache::Mode::kOff : mode;
  options.size_limit = 0;
  options.warn = [&session](std::string_view text) {
    if (!session.quiet) session.err << "nibble: warning: " << text << '\n';
  };
  return std::make_unique<cache::Store>(std::move(options));
}

void add_cache(CLI::App& app, Action* action) {
  CLI::App* command = app.add_subcommand("cache", "Look at, check or empty the compiled kernels");
  command->require_subcommand(1);
  command->fallthrough();
  command->footer(
      "Examples:\n  nibble cache stat\n  nibble cache verify --json\n  nibble cache clear --yes");
  const auto options = std::make_shared<CacheOptions>();
  command->add_option("--dir", options->directory,
                      "The folder (default: $NIBBLE_CACHE_DIR, $XDG_CACHE_HOME/nibble or "
                      "~/.cache/nibble)");
  const auto add = [&](const char* name, const char* text,
                       Outcome (*run)(cache::Store&, Session&)) {
    command->add_subcommand(name, text)->callback([action, options, run] {
      *action = [options, run](Session& session) {
        return with_store(*options, cache::Mode::kReadOnly, session, run);
      };
    });
  };
  add("stat", "Count the entries and their bytes", stat);
  add("list", "Every valid entry: name, size, last use, kernel", list);
  add("verify", "Read and check every entry; exit code 5 if one is damaged", verify);
  CLI::App* empty = command->add_subcommand("clear", "Remove every entry, and nothing else");
  empty->add_flag("--yes", options->yes, "Really do it");
  empty->callback([action, options] {
    *action = [options](Session& session) { return run_clear(*options, session); };
  });
}

}  // namespace nibble::cli
