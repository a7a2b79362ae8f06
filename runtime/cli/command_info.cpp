// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// nibble info: what kernels would run on, be compiled with and be kept in.
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "cache/store.h"
#include "runtime/cli/application.h"
#include "runtime/cli/cache_store.h"
#include "runtime/cli/progress.h"

namespace nibble::cli {
namespace {

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

void print(const DeviceInfo& device, const CompilerInfo& compiler, cache::Store& store,
           const std::string& mode, std::ostream& out) {
  const cache::StoreStat stat = store.stat();
  out << "device    " << (device.name.empty() ? "none: compile only" : device.name) << ", "
      << device.target;
  if (device.available) {
    out << ", " << device.multiprocessors << " SMs, "
        << bytes_text(static_cast<double>(device.memory_bytes));
  }
  out << '\n';
  if (device.available) {
    out << "driver    " << version_text(device.driver_version) << ", " << device.driver_library
        << '\n';
  }
  out << "compiler  ";
  if (compiler.available) {
    out << "NVRTC " << compiler.major << '.' << compiler.minor << ", " << compiler.library << '\n';
  } else {
    out << "not available: " << compiler.problem << '\n';
  }
  out << "cache     ";
  if (store.directory().empty()) {
    out << "memory only\n";
  } else {
    out << store.directory() << ", " << mode << ", " << stat.entries << " entries, "
        << bytes_text(static_cast<double>(stat.bytes)) << '\n';
  }
}

nlohmann::ordered_json to_json(const DeviceInfo& device, const CompilerInfo& compiler,
                               cache::Store& store, const std::string& mode) {
  const cache::StoreStat stat = store.stat();
  return {{"version", NIBBLE_VERSION},
          {"device",
           {{"name", device.name},
            {"target", device.target},
            {"emulated", device.emulated},
            {"available", device.available},
            {"ordinal", device.ordinal},
            {"multiprocessors", device.multiprocessors},
            {"shared_per_block", device.shared_per_block},
            {"l2_bytes", device.l2_bytes},
            {"memory_bytes", device.memory_bytes}}},
          {"driver", {{"version", device.driver_version}, {"library", device.driver_library}}},
          {"compiler",
           {{"available", compiler.available},
            {"major", compiler.major},
            {"minor", compiler.minor},
            {"library", compiler.library},
            {"identity", compiler.identity},
            {"problem", compiler.problem}}},
          {"cache",
           {{"directory", store.directory()},
            {"mode", mode},
            {"entries", stat.entries},
            {"bytes", stat.bytes}}}};
}

Outcome info(Session& session) {
  const Options options = session.library_options();
  const Result<Context> context = Context::create(options);
  if (!context.ok()) return failure(context.status());
  const DeviceInfo& device = context->device();
  const CompilerInfo& compiler = context->compiler();
  const std::unique_ptr<cache::Store> store =
      open_cache(session, context->cache_directory(), cache::Mode::kReadOnly);
  const std::string mode = options.cache_mode.empty() ? "readwrite" : options.cache_mode;
  if (session.json) {
    const nlohmann::ordered_json json = to_json(device, compiler, *store, mode);
    session.out << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
  } else {
    print(device, compiler, *store, mode, session.out);
  }
  return {};
}

}  // namespace

void add_info(CLI::App& app, Action* action) {
  CLI::App* command = app.add_subcommand("info", "The device, the compiler and the cache in use");
  command->footer("Example:\n  nibble info --device emulator:sm_100a --json");
  command->callback([action] { *action = info; });
}

}  // namespace nibble::cli
