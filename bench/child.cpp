// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/child.h"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace nibble::bench {

namespace {

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

std::string read_all(std::FILE* file) {
  std::string text;
  std::rewind(file);
  std::array<char, 4096> part{};
  while (const size_t count = std::fread(part.data(), 1, part.size(), file)) {
    text.append(part.data(), count);
  }
  return text;
}

}  // namespace

ChildOutput in_child(const std::vector<std::pair<std::string, std::string>>& environment,
                     const std::function<std::vector<double>()>& measure) {
  const File numbers(std::tmpfile(), std::fclose);
  const File messages(std::tmpfile(), std::fclose);
  if (numbers == nullptr || messages == nullptr) {
    std::perror("a temporary file");
    std::exit(1);
  }
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) {
    std::perror("fork");
    std::exit(1);
  }
  if (child == 0) {
    dup2(fileno(messages.get()), STDERR_FILENO);
    for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
    const std::vector<double> measured = measure();
    std::fwrite(measured.data(), sizeof(double), measured.size(), numbers.get());
    std::fflush(nullptr);
    std::exit(measured.empty() ? 1 : 0);  // exit handlers of loaded libraries run
  }
  int status = 0;
  waitpid(child, &status, 0);
  ChildOutput output;
  output.messages = read_all(messages.get());
  const std::string bytes = read_all(numbers.get());
  if (status != 0 || bytes.empty()) {
    std::fprintf(stderr, "a measurement failed (status %d):\n%s\n", status,
                 output.messages.c_str());
    std::exit(1);
  }
  output.numbers.resize(bytes.size() / sizeof(double));
  std::copy_n(reinterpret_cast<const double*>(bytes.data()), output.numbers.size(),
              output.numbers.begin());
  return output;
}

}  // namespace nibble::bench
