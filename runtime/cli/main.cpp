// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The nibble command.
#include <unistd.h>

#include <iostream>

#include "runtime/cli/application.h"

int main(int argc, char** argv) {
  return nibble::cli::run({argv + 1, argv + argc}, std::cout, std::cerr, ::isatty(2) == 1);
}
