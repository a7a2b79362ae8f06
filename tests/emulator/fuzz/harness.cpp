// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/emulator/fuzz/harness.h"

#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

// Of the sanitizers' runtime, where there is one.
extern "C" {
// NOLINTBEGIN(readability-identifier-naming,bugprone-reserved-identifier)
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());
const char* __asan_default_options();
// One allocation of a gibibyte, or eight altogether, is a finding. What modules leave behind would
// be looked for once, at exit.
const char* __asan_default_options() {
  return "max_allocation_size_mb=1024:hard_rss_limit_mb=8192:quarantine_size_mb=8:"
         "malloc_context_size=3:handle_abort=1:detect_leaks=1";
}
// NOLINTEND(readability-identifier-naming,bugprone-reserved-identifier)
}

namespace nibble::fuzz {
namespace {

using Clock = std::chrono::steady_clock;

// Seconds of one input: of the processor's time, and altogether, as machines may stand still.
constexpr unsigned kTooLong = 20, kMuchTooLong = 600;

uint64_t running_input = 0;
uint64_t running_seed = 0;
const char* running_name = "";

// Allocates nothing: it is called from signal handlers.
void say_input() {
  std::array<char, 160> text{};
  const int length = std::snprintf(text.data(), text.size(),
                                   "\nthis input again: %s --seed %llu --first %llu --count 1\n",
                                   running_name, static_cast<unsigned long long>(running_seed),
                                   static_cast<unsigned long long>(running_input));
  if (write(STDERR_FILENO, text.data(), static_cast<size_t>(length)) < 0) return;
}

void on_signal(int number) {
  const char* const what =
      number == SIGALRM || number == SIGPROF ? "\nan input takes too long\n" : "\na signal\n";
  if (write(STDERR_FILENO, what, std::strlen(what)) > 0) say_input();
  std::signal(SIGABRT, SIG_DFL);
  std::abort();
}

void set_timers(unsigned processor, unsigned wall) {
  itimerval timer{};
  timer.it_value.tv_sec = processor;
  setitimer(ITIMER_PROF, &timer, nullptr);
  alarm(wall);
}

void watch() {
  std::signal(SIGALRM, on_signal);
  std::signal(SIGPROF, on_signal);
  if (__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(say_input);
    return;
  }
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT})
    std::signal(number, on_signal);
}

bool is_numeric(const char* word, uint64_t& value) {
  char* end = nullptr;
  value = std::strtoull(word, &end, 10);
  return *word != '\0' && *end == '\0';
}

std::string without_comments(const std::string& text) {
  std::istringstream lines(text);
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    line.erase(std::min(line.size(), line.find("//")));
    line.erase(line.find_last_not_of(" \t") + 1);
    if (!line.empty()) kept += line + "\n";
  }
  return kept;
}

}  // namespace

Options read_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    uint64_t* const number = word == "--count"   ? &options.count
                             : word == "--seed"  ? &options.seed
                             : word == "--first" ? &options.first
                                                 : nullptr;
    if (word == "--print") {
      options.print = true;
    } else if (number != nullptr && i + 1 < argc && is_numeric(argv[i + 1], *number)) {
      ++i;
    } else if (word.starts_with("--")) {
      std::fprintf(stderr, "usage: %s [--count N] [--seed N] [--first N] [--print] FOLDER...\n",
                   argv[0]);
      std::exit(2);
    } else {
      options.folders.push_back(word);
    }
  }
  return options;
}

int run(const Options& options, const char* name,
        const std::function<void(Random&, Tally&)>& one_input) {
  running_name = name;
  running_seed = options.seed;
  watch();
  Tally tally;
  const auto start = Clock::now();
  std::chrono::duration<double> slowest{0};
  uint64_t slowest_input = 0;
  for (uint64_t i = 0; i < options.count; ++i) {
    running_input = options.first + i;
    const auto begin = Clock::now();
    set_timers(kTooLong, kMuchTooLong);
    Random random(options.seed, running_input);
    one_input(random, tally);
    if (const auto took = Clock::now() - begin; took > slowest) {
      slowest = took;
      slowest_input = running_input;
    }
    if (const uint64_t done = i + 1; done % 500'000 == 0) {
      std::fprintf(stderr, "%llu\n", static_cast<unsigned long long>(done));
    }
  }
  set_timers(0, 0);
  const std::chrono::duration<double> elapsed = Clock::now() - start;
  std::printf("%s --seed %llu --first %llu: %llu inputs in %.1f s, %.1f us each\n", name,
              static_cast<unsigned long long>(options.seed),
              static_cast<unsigned long long>(options.first),
              static_cast<unsigned long long>(options.count), elapsed.count(),
              1e6 * elapsed.count() / static_cast<double>(std::max<uint64_t>(options.count, 1)));
  for (const auto& [what, times] : tally) {
    std::printf("  %s: %llu\n", what.c_str(), static_cast<unsigned long long>(times));
  }
  std::printf("  slowest: input %llu, %.0f ms\n", static_cast<unsigned long long>(slowest_input),
              1e3 * slowest.count());
  return 0;
}

std::vector<std::string> read_seeds(const Options& options) {
  std::vector<std::filesystem::path> paths;
  for (const std::string& folder : options.folders) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      if (entry.path().extension() == ".ptx") paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> seeds;
  for (const auto& path : paths) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    seeds.push_back(without_comments(text.str()));
  }
  return seeds;
}

}  // namespace nibble::fuzz
