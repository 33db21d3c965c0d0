// The constants that panels define. A panel's file includes this, so that its constant has external linkage.
#pragma once

#include "app/panels/panel.h"

namespace glassbox {

// stage 1, stage1_*.cpp
extern const Panel kTokensPanel, kPiecesPanel, kMergesPanel, kPairsPanel;
// stage 2, stage2_*.cpp
extern const Panel kEmbeddingRowPanel, kNeighboursPanel, kCosinesPanel;
// stage 3, stage3_*.cpp
extern const Panel kHeadsPanel, kPatternPanel, kCellPanel, kNextTokenPanel;
// stage 6, stage6_*.cpp
extern const Panel kChainPanel, kSamplerSettingsPanel, kRankPlotPanel;

}  // namespace glassbox
