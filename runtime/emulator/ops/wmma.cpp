// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
namespace nibble::emulator {}
