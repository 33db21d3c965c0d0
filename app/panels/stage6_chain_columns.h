// The columns of the chain's table: one for each rule, in the order in which the rules apply.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/panels/stage6_shared.h"

namespace glassbox {

enum class ColumnKind { token, logit, penalty, stage, probability };

struct ChainColumn {
  ColumnKind kind = ColumnKind::token;
  SamplerStage stage = SamplerStage::temperature;  // of a stage's column
  float x = 0, width = 0;                          // pixels from the table's left edge
  float bar = 0;                                   // width of the bar, 0: none
  bool cuts() const { return kind == ColumnKind::stage && stage != SamplerStage::temperature; }
};

// At most `width` pixels when that is enough for all columns, else as narrow as they get.
std::vector<ChainColumn> make_columns(const Theme& theme, const SamplerSettings& settings, float width);

// Two lines above a column: its name with the setting, and what is left after it; shorter ones for a narrow column.
struct ColumnHead {
  std::string name, short_name, note, short_note;
  bool off = false;
};
ColumnHead column_head(const ChainResult& chain, const ChainColumn& column);

// What a column says of one candidate, with the numbers put in. `row` is its rank, 0 first.
void draw_candidate_card(const FrameContext& context, const ChainColumn& column, int row);
// What a stage did to the whole list.
void draw_stage_card(const FrameContext& context, const ChainColumn& column);

}  // namespace glassbox
