// What a stretch of layers works in (paged_step.h), where a step's numbers lie in the one buffer
// that is uploaded before it, and the sizes that products have. Private to the two files of
// PagedStep. Thread rule: the step's.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include <ATen/core/Tensor.h>

#include "worker/engine/model/device_work.h"
#include "worker/engine/model/paged_step.h"
#include "worker/kernels/cached_attention.h"

namespace bitsweep::engine {

/// Rows of every product where results must not depend on the batch: libraries choose the order of
/// sums by the number of rows. Fewer would read the weights more often, more would compute rows
/// that nobody wants.
inline constexpr std::int64_t kInvariantRows = 256;

/// Weights that are kept as codes are looked up for up to so many rows; more are cheaper with the
/// weights expanded for each product. The products of a 7B layer at 1x15 on an H100: 317 us looked
/// up for 32 rows and 630 for 64, 417 expanded and multiplied (tests/bench/README.md).
inline constexpr std::int64_t kLookUpRowsMax = 32;

inline const std::int32_t* Ints(const at::Tensor& tensor) {
  return tensor.data_ptr<std::int32_t>();
}

// Offsets in 32-bit words. Items and their rows, whose number changes, come last.
struct PagedStep::Plan {
  explicit Plan(std::int64_t rows)
      : item_count(0),
        sources(8),
        positions(sources + rows),
        locations(positions + rows),
        first_part(locations + rows),
        part_count(first_part + rows),
        keys(part_count + rows),
        items(keys + 4 * rows) {}
  static constexpr std::int64_t kItemWords = sizeof(kernels::AttentionItem) / 4;
  static constexpr std::int64_t kItemRowWords = sizeof(kernels::AttentionItemRow) / 4;
  std::int64_t item_count, sources, positions, locations, first_part, part_count, keys, items;
};

struct PagedStep::Stretch {
  explicit Stretch(const PagedWeights::Stretch& stretch) : layers(stretch), work(stretch.device) {}
  std::int32_t* PlanAt(std::int64_t word) const { return plan.data_ptr<std::int32_t>() + word; }
  // Keys and values of a layer of the model.
  void* Cache(std::int64_t layer) const { return cache.select(0, layer - layers.begin).data_ptr(); }

  const PagedWeights::Stretch& layers;
  DeviceWork work;
  at::Tensor residual, normed, qkv, mixed, delta, gate_up, inner;  // [tokens, *]
  at::Tensor parts, part_scales;                                   // f32
  at::Tensor plan;                                                 // i32
  at::Tensor next_work;                                            // i32 [layers]
  at::Tensor expanded;  // [elements of its largest product that is kept as codes]
  at::Tensor cache;  // [its layers, pages, Hkv * 2 * kPageTokens * D]
  // Of the first and the last stretch: i32 [2 rows]: drawn by the last step; first tokens.
  at::Tensor tokens;
  // Of the last stretch.
  at::Tensor logits;                                                          // [rows, V]
  at::Tensor prompt_logits;                                                   // [prompts, V]
  at::Tensor first_plan;                                                      // i32
  std::map<std::int64_t, std::unique_ptr<DeviceWork::Recording>> recordings;  // By padded rows.
  std::map<std::int64_t, bool> ran;
};

}  // namespace bitsweep::engine
