// TapPlan: what is wanted of one forward call, compiled before the call. At a site that nobody wants, the forward does
// one null check.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "core/probe/edits.h"
#include "core/probe/page_table.h"

namespace glassbox {

// The values that a patch takes over: pages of the other run.
using PatchSource = std::shared_ptr<const PageTable>;

struct PlannedEdit {
  Edit edit;
  int sequence;        // index into the batch's sequences
  PatchSource source;  // patch only
};

struct PlannedCapture {
  int sequence;
  std::shared_ptr<Page> page;
  bool takes(const RowPosition& row) const {
    return row.sequence == sequence && row.position >= page->begin() && row.position < page->end();
  }
};

class TapPlan {
 public:
  TapPlan(const ModelConfig& config);

  // Precondition: check_edit(edit) succeeded.
  void add_edit(const Edit& edit, int sequence, PatchSource source = nullptr);
  void add_capture(int sequence, std::shared_ptr<Page> page);
  bool empty() const { return site_count_ == 0; }

  struct Site {
    std::vector<PlannedEdit> edits;
    std::vector<PlannedCapture> captures;
  };
  // Null when nothing is wanted there. For taps of model scope the layer is 0.
  const Site* site(Tap tap, int layer) const {
    return sites_[static_cast<size_t>(layer) * kTapCount + static_cast<size_t>(tap)].get();
  }
  // An edit inside the attention group makes it run in steps, one anywhere in a layer makes the layer run composed.
  bool edits_attention(int layer) const;
  bool edits_layer(int layer) const;
  bool edits() const;  // anywhere

 private:
  Site& make_site(Tap tap, int layer);
  std::vector<std::unique_ptr<Site>> sites_;  // [layer][tap]
  int site_count_ = 0;
};

// Runs a site's edits, then its captures, on `values` [R, row_size] (rows in the order of `rows`).
void run_site(const TapPlan::Site& site, std::span<const RowPosition> rows, int heads, int64_t width, float* values);
// The same for a site with a key axis: row r has heads rows of `position + 1` values.
void run_key_site(const TapPlan::Site& site, Tap tap, std::span<const RowPosition> rows, int heads,
                  std::span<const KeyRow> values);

}  // namespace glassbox
