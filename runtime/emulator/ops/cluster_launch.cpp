// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// clusterlaunchcontrol: a running cluster takes over one that has not begun.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#parallel-synchronization-and-communication-instructions-clusterlaunchcontrol-try-cancel
#include "runtime/emulator/isa/isa.h"

namespace nibble::emulator {

void append_cluster_launch_rows(Rows&) {}

}  // namespace nibble::emulator
