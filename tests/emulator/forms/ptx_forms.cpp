// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// ptx_forms: runs forms on a driver library, compares two libraries, records and checks digests.
#include <cstdio>
#include <cstring>
#include <fstream>

#include "tests/emulator/forms/form_compare.h"
#include "tests/emulator/forms/form_runner.h"

namespace nibble::forms {
namespace {

constexpr char kUsage[] =
    "usage: ptx_forms [--record FILE | --check FILE] LIBRARY FORMS...\n"
    "       ptx_forms --compare LIBRARY_A LIBRARY_B FORMS...\n"
    "LIBRARY is libnibble-cuda-emulator.so or libcuda.so.1; FORMS are .ptx files or folders.\n"
    "Prints a name and a digest for each form; --record writes them (not those of approximate\n"
    "forms and of forms with an expectation of their own),\n"
    "--check compares with a file of them, --compare tells equal and unequal forms apart with the\n"
    "first differing value.\n";

struct Counts {
  int equal = 0, unequal = 0, failed = 0, no_device = 0;
  int finish() const {
    std::printf("%d equal, %d unequal, %d failed, %d without a device\n", equal, unequal, failed,
                no_device);
    return unequal == 0 && failed == 0 && equal > 0 ? 0 : 1;
  }
};

// True when the form ran; otherwise counted and printed.
bool ran(const Form& form, const char* library, const Outcome& outcome, Counts& counts) {
  if (outcome.kind == Outcome::Kind::kRan) return true;
  const bool absent = outcome.kind == Outcome::Kind::kNoDevice;
  ++(absent ? counts.no_device : counts.failed);
  std::printf("%-9s %s: %s: %s\n", absent ? "no device" : "FAILED", form.name.c_str(), library,
              outcome.message.c_str());
  return false;
}

int compare_libraries(const char* a, const char* b, const std::vector<Form>& forms) {
  std::string error;
  const auto runner_a = FormRunner::open(a, error);
  const auto runner_b = runner_a ? FormRunner::open(b, error) : nullptr;
  if (!runner_b) {
    std::fprintf(stderr, "ptx_forms: %s\n", error.c_str());
    return 2;
  }
  std::printf("a: %s\nb: %s\n", runner_a->description().c_str(), runner_b->description().c_str());
  Counts counts;
  for (const Form& form : forms) {
    const std::vector<Bytes> inputs = make_inputs(form);
    const Outcome on_a = runner_a->run(form, inputs);
    if (!ran(form, a, on_a, counts)) continue;
    const Outcome on_b = runner_b->run(form, inputs);
    if (!ran(form, b, on_b, counts)) continue;
    const Difference difference = compare(form, inputs, on_a.output, on_b.output);
    if (form.approximate) {
      std::printf("%-9s %s: at most %llu ulp apart; %s\n", "distance", form.name.c_str(),
                  static_cast<unsigned long long>(difference.ulp), difference.worst.c_str());
      continue;
    }
    ++(difference.count == 0 ? counts.equal : counts.unequal);
    if (difference.count == 0) {
      std::printf("%-9s %s\n", "equal", form.name.c_str());
    } else {
      std::printf("%-9s %s: %llu values, first: %s\n", "UNEQUAL", form.name.c_str(),
                  static_cast<unsigned long long>(difference.count), difference.first.c_str());
    }
    std::fflush(stdout);
  }
  return counts.finish();
}

struct Options {
  const char* record = nullptr;
  const char* check = nullptr;
};

int run_library(const Options& options, const char* library, const std::vector<Form>& forms) {
  std::string error;
  Record expected;
  const auto runner = FormRunner::open(library, error);
  if (!runner || (options.check && !read_record(options.check, expected, error))) {
    std::fprintf(stderr, "ptx_forms: %s\n", error.c_str());
    return 2;
  }
  std::string record = "# Digests of the outputs of every form, recorded on: ";
  record += runner->description() + "\n";
  Counts counts;
  for (const Form& form : forms) {
    const Outcome outcome = runner->run(form, make_inputs(form));
    if (!ran(form, library, outcome, counts)) continue;
    const std::string line = form.name + " " + digest_of(outcome.output);
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
    if (form.approximate || !form.expect.empty()) continue;
    record += line + "\n";
    const auto found = expected.find(form.name);
    const bool wrong =
        options.check && (found == expected.end() || line != form.name + " " + found->second);
    ++(wrong ? counts.unequal : counts.equal);
    if (wrong) {
      std::printf("UNEQUAL   %s: %s\n", form.name.c_str(),
                  found == expected.end() ? "not recorded" : found->second.c_str());
    }
  }
  if (options.record && !(std::ofstream(options.record) << record)) {
    std::fprintf(stderr, "ptx_forms: %s: cannot be written\n", options.record);
    return 2;
  }
  return counts.finish();
}

int main_of(int count, char** words) {
  Options options;
  bool comparing = false;
  int at = 1;
  for (; at < count && std::strncmp(words[at], "--", 2) == 0; ++at) {
    if (std::strcmp(words[at], "--compare") == 0) {
      comparing = true;
    } else if (std::strcmp(words[at], "--record") == 0 && at + 1 < count) {
      options.record = words[++at];
    } else if (std::strcmp(words[at], "--check") == 0 && at + 1 < count) {
      options.check = words[++at];
    } else {
      break;
    }
  }
  const int libraries = comparing ? 2 : 1;
  if (at + libraries >= count || std::strncmp(words[at], "--", 2) == 0) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  std::vector<Form> forms;
  std::string error;
  if (!read_forms({words + at + libraries, words + count}, forms, error)) {
    std::fprintf(stderr, "ptx_forms: %s\n", error.c_str());
    return 2;
  }
  return comparing ? compare_libraries(words[at], words[at + 1], forms)
                   : run_library(options, words[at], forms);
}

}  // namespace
}  // namespace nibble::forms

int main(int count, char** words) { return nibble::forms::main_of(count, words); }
