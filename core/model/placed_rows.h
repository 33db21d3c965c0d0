// What the operations of one forward read of its rows, in the backend's memory.
#pragma once

#include "core/model/transformer.h"

namespace glassbox {

// The size of a sequence's table there.
size_t placed_blocks(const KvSequence& sequence);

struct PlacedRows {
  std::span<const int32_t> ids, positions, logit_rows;
  std::span<const RowPosition> rows;
  std::byte* const* const* sequences = nullptr;
  int sequence_count = 0;
  std::span<KeyRow> scores, pattern;  // of an attention that runs in steps, as the host sees them
  // [L], what each layer stores where it runs fused, as the host sees it and where the operations find it; or nothing.
  std::span<LayerOutputs> outputs;
  const LayerOutputs* placed_outputs = nullptr;
  std::span<const DrawRow> draws;
  int longest = 0;  // AttentionArgs::longest
};

// Lays out what the operations read of the rows. Where these may be recorded, `repeated`, all that their launches
// depend on is rounded up, so that it seldom changes. The caller fills scores and pattern and sends the inputs. Throws
// std::bad_alloc.
PlacedRows place_rows(const ForwardCall& call, const ModelConfig& config, Workspace& ws, bool repeated);

}  // namespace glassbox
