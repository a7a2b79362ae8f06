#!/bin/sh
# SPDX-FileCopyrightText: The nibble authors
# SPDX-License-Identifier: Apache-2.0
# pkg_config.sh COMPILER PREFIX LIBDIR SOURCE PROGRAM: builds SOURCE as pkg-config says and runs it.
set -eu
compiler=$1 libdir=$3 source=$4 program=$5
flags=$(PKG_CONFIG_PATH="$libdir/pkgconfig" pkg-config --cflags --libs nibble)
# shellcheck disable=SC2086  # the flags are words
"$compiler" "$source" -o "$program" $flags "-Wl,-rpath,$libdir"
"$program"
