// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the fuzzers share: their command line, the loop over inputs, and a word on which input it
// was when a sanitizer, a signal or an input that takes too long ends the process.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/emulator/fuzz/random.h"

namespace nibble::fuzz {

struct Options {
  uint64_t count = 20000;
  uint64_t seed = 1;
  uint64_t first = 0;                // number of the first input
  bool print = false;                // each input, before it is run
  std::vector<std::string> folders;  // where seeds are
};

// --count N --seed N --first N --print FOLDER...; ends the process with a word on others.
Options read_options(int argc, char** argv);

// What happened how often: "parsed", "launched", ...
using Tally = std::map<std::string, uint64_t>;

// Runs inputs `first` to `first + count - 1`; says how long and what happened. Returns the
// process's exit status.
int run(const Options& options, const char* name,
        const std::function<void(Random&, Tally&)>& one_input);

// The .ptx files below the folders of the options, in the order of their names, comments left out.
std::vector<std::string> read_seeds(const Options& options);

// A fuzzer's main(): of a Target(seeds, whether it prints) with one_input(random, tally).
template <class Target>
int run_target(int argc, char** argv, const char* name) {
  try {
    const Options options = read_options(argc, argv);
    Target target(read_seeds(options), options.print);
    return run(options, name,
               [&](Random& random, Tally& tally) { target.one_input(random, tally); });
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    std::abort();
  }
}

}  // namespace nibble::fuzz
