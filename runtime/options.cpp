// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The one place that reads the environment for the library.
#include <cstdlib>

#include "cache/location.h"
#include "nibble/context.hpp"

namespace nibble {

namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

Options Options::from_environment() {
  Options options;
  options.device = environment("NIBBLE_DEVICE");
  options.driver_library = environment("NIBBLE_DRIVER_LIBRARY");
  options.nvrtc_library = environment("NIBBLE_NVRTC_LIBRARY");
  options.emulator_library = environment("NIBBLE_EMULATOR_LIBRARY");
  options.template_directory = environment("NIBBLE_TEMPLATE_DIR");
  options.cache_directory = cache::default_directory();
  options.cache_mode = environment("NIBBLE_CACHE");
  options.tuning = environment("NIBBLE_TUNING");
  options.tuning_file = environment("NIBBLE_TUNING_FILE");
  return options;
}

}  // namespace nibble
