// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// How a thread block finds its work among many problems: the tiles of all of them are numbered one
// after the other, and each thread block has an equal run of them.
#pragma once

#include "common/math.cuh"
#include "params/batch.h"

namespace nibble {

// Calls work(item, first, end) for the tiles first .. end - 1 of every item that this thread block
// has tiles of. All threads take the same way.
template <class Item, class Work>
__device__ void for_each_run(const BatchParams& params, Work work) {
  const int64_t* const first_tile = params.first_tile;
  const int64_t all = first_tile[params.count];
  const int64_t share = ceil_div(all, gridDim.x);
  int64_t tile = blockIdx.x * share;
  const int64_t end = tile + share < all ? tile + share : all;
  if (tile >= end) return;
  int64_t item = 0;  // the last whose first tile is not beyond `tile`
  for (int64_t above = params.count; above - item > 1;) {
    const int64_t middle = (item + above) / 2;
    (first_tile[middle] <= tile ? item : above) = middle;
  }
  while (tile < end) {
    const int64_t begin = first_tile[item], next = first_tile[item + 1];
    const int64_t stop = next < end ? next : end;
    if (tile < stop) work(static_cast<const Item*>(params.items)[item], tile - begin, stop - begin);
    tile = stop;
    ++item;
  }
}

// Tiles of a matrix are numbered along its rows, then down.
struct TilePlace {
  int64_t down, across;

  __device__ TilePlace(int64_t tile, int64_t tiles_across)
      : down(tile / tiles_across), across(tile - down * tiles_across) {}
  __device__ void next(int64_t tiles_across) {
    if (++across < tiles_across) return;
    across = 0;
    ++down;
  }
};

}  // namespace nibble
