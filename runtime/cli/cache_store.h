// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The store of compiled kernels, opened for looking at.
#pragma once

#include <memory>
#include <string>

#include "cache/store.h"
#include "runtime/cli/application.h"

namespace nibble::cli {

// `directory`: empty means that there is none. The store's warnings go to the session's stderr.
std::unique_ptr<cache::Store> open_cache(const Session& session, const std::string& directory,
                                         cache::Mode mode);

}  // namespace nibble::cli
