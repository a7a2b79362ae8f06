// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/runtime/hot_path_counters.h"

#include <dlfcn.h>
#include <pthread.h>

#include <cstdlib>
#include <new>

namespace nibble::test {
namespace {

thread_local bool counting = false;
thread_local HotPathCounts counts;

}  // namespace

HotPathCounter::HotPathCounter() {
  counts = {};
  counting = true;
}

HotPathCounts HotPathCounter::stop() {
  counting = false;
  return counts;
}

}  // namespace nibble::test

void* operator new(size_t size) {
  using namespace nibble::test;
  if (counting) ++counts.allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

// Stands before libc's in the look-up of all libraries of the process.
extern "C" int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  using namespace nibble::test;
  using Lock = int (*)(pthread_mutex_t*);
  static const auto kLock = reinterpret_cast<Lock>(dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  if (counting) ++counts.locks;
  return kLock(mutex);
}
