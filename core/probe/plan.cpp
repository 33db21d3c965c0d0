#include "core/probe/plan.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace glassbox {

TapPlan::TapPlan(const ModelConfig& config) : sites_(static_cast<size_t>(config.layer_count()) * kTapCount) {}

TapPlan::Site& TapPlan::make_site(Tap tap, int layer) {
  if (tap_info(tap).scope == TapScope::model) layer = 0;
  auto& site = sites_[static_cast<size_t>(layer) * kTapCount + static_cast<size_t>(tap)];
  if (!site) {
    site = std::make_unique<Site>();
    ++site_count_;
  }
  return *site;
}

void TapPlan::add_edit(const Edit& edit, int sequence, PatchSource source) {
  make_site(edit.tap, edit.layer).edits.push_back({edit, sequence, std::move(source)});
}

void TapPlan::add_capture(int sequence, std::shared_ptr<Page> page) {
  make_site(page->tap(), page->layer()).captures.push_back({sequence, std::move(page)});
}

bool TapPlan::edits_attention(int layer) const {
  for (const Tap tap : {Tap::attn_scores, Tap::attn_pattern}) {
    const Site* at = site(tap, layer);
    if (at != nullptr && !at->edits.empty()) return true;
  }
  return false;
}

bool TapPlan::edits_layer(int layer) const {
  const auto first = sites_.begin() + static_cast<ptrdiff_t>(layer) * kTapCount;
  return std::any_of(first, first + kTapCount, [](const auto& site) { return site && !site->edits.empty(); });
}

bool TapPlan::edits() const {
  return std::any_of(sites_.begin(), sites_.end(), [](const auto& site) { return site && !site->edits.empty(); });
}

namespace {

bool covers(const Edit& edit, int position) {
  return (!edit.position_begin || position >= *edit.position_begin) &&
         (!edit.position_end || position < *edit.position_end);
}

// One head's values (or the whole row where there are no heads) of one position. `source`: the patching run's values.
void apply_edit(const Edit& edit, const float* source, int64_t vector_offset, int64_t n, float* x) {
  const int64_t begin = edit.index ? *edit.index : 0;
  const int64_t end = edit.index ? *edit.index + 1 : n;
  const int64_t size = static_cast<int64_t>(edit.vector.size());
  for (int64_t i = begin; i < end && i < n; ++i) {
    switch (edit.kind) {
      case EditKind::zero:
        x[i] = 0;
        break;
      case EditKind::scale:
        x[i] *= edit.factor;
        break;
      case EditKind::add:
        x[i] += edit.vector[static_cast<size_t>(size == 1 ? 0 : vector_offset + i)];
        break;
      case EditKind::overwrite:
        x[i] = edit.vector[static_cast<size_t>(size == 1 ? 0 : vector_offset + i)];
        break;
      case EditKind::patch:
        x[i] = source[i];
        break;
      case EditKind::cut_score:
        x[i] = -std::numeric_limits<float>::infinity();
        break;
      case EditKind::cut_weight:
        x[i] = 0;
        break;
    }
  }
}

// The part of a vector that belongs to a head: a vector of the whole row has one part a head, otherwise all share it.
int64_t vector_offset(const Edit& edit, int heads, int64_t width, int head) {
  return static_cast<int64_t>(edit.vector.size()) == width * heads ? head * width : 0;
}

void edit_heads(const PlannedEdit& planned, Tap tap, int layer, int position, int heads, int64_t width, int64_t stride,
                float* row) {
  const Edit& edit = planned.edit;
  const Page* page = planned.source ? planned.source->find(tap, layer, position) : nullptr;
  if (edit.kind == EditKind::patch && page == nullptr) return;  // the source is shorter: its positions are patched
  const int first = edit.head ? *edit.head : 0;
  const int last = edit.head ? *edit.head + 1 : std::max(heads, 1);
  for (int head = first; head < last; ++head) {
    const float* source = page == nullptr ? nullptr : page->row(position).data() + head * page->width();
    if (edit.kind == EditKind::cut_score || edit.kind == EditKind::cut_weight) {
      Edit cut = edit;
      cut.index = edit.key;
      apply_edit(cut, nullptr, 0, width, row + head * stride);
    } else {
      apply_edit(edit, source, vector_offset(edit, std::max(heads, 1), width, head), width, row + head * stride);
    }
  }
}

}  // namespace

void run_site(const TapPlan::Site& site, std::span<const RowPosition> rows, int heads, int64_t width, float* values) {
  const int64_t row_size = std::max(heads, 1) * width;
  for (const PlannedEdit& planned : site.edits) {
    for (size_t r = 0; r < rows.size(); ++r) {
      if (rows[r].sequence != planned.sequence || !covers(planned.edit, rows[r].position)) continue;
      edit_heads(planned, planned.edit.tap, planned.edit.layer, rows[r].position, heads, width, width,
                 values + static_cast<int64_t>(r) * row_size);
    }
  }
  for (const PlannedCapture& capture : site.captures) {
    Page& page = *capture.page;
    for (size_t r = 0; r < rows.size(); ++r) {
      const int position = rows[r].position;
      if (!capture.takes(rows[r])) continue;
      float* const to = page.row_data(position);
      const float* const from = values + static_cast<int64_t>(r) * row_size;
      if (to != from) std::memcpy(to, from, static_cast<size_t>(row_size) * sizeof(float));  // else it is there already
      page.mark_written(position);
    }
  }
}

void run_key_site(const TapPlan::Site& site, Tap tap, std::span<const RowPosition> rows, int heads,
                  std::span<const KeyRow> values) {
  for (const PlannedEdit& planned : site.edits) {
    for (size_t r = 0; r < rows.size(); ++r) {
      if (rows[r].sequence != planned.sequence || !covers(planned.edit, rows[r].position)) continue;
      edit_heads(planned, tap, planned.edit.layer, rows[r].position, heads, rows[r].position + 1, values[r].head_stride,
                 values[r].data);
    }
  }
  const float masked = tap == Tap::attn_scores ? -std::numeric_limits<float>::infinity() : 0.0f;
  for (const PlannedCapture& capture : site.captures) {
    Page& page = *capture.page;
    for (size_t r = 0; r < rows.size(); ++r) {
      const int position = rows[r].position;
      if (!capture.takes(rows[r])) continue;
      for (int head = 0; head < heads; ++head) {
        float* to = page.row_data(position) + head * page.width();
        const float* from = values[r].data + head * values[r].head_stride;
        if (to == from) continue;  // the op has written it where it belongs, to its end
        std::memcpy(to, from, static_cast<size_t>(position + 1) * sizeof(float));
        std::fill(to + position + 1, to + page.width(), masked);
      }
      page.mark_written(position);
    }
  }
}

}  // namespace glassbox
