// The list of all panels. A panel's file defines its constant (with external linkage); this is the one line it needs.
#include "app/panels/panel.h"

#include <array>

namespace glassbox {

// stage 1, stage1_*.cpp
extern const Panel kTokensPanel, kPiecesPanel, kMergesPanel, kPairsPanel;
// stage 2, stage2_*.cpp
extern const Panel kEmbeddingRowPanel, kNeighboursPanel, kCosinesPanel;
// stage 3, stage3_*.cpp
extern const Panel kHeadsPanel, kPatternPanel, kCellPanel, kNextTokenPanel;
// stage 6, stage6_*.cpp
extern const Panel kChainPanel, kSamplerSettingsPanel, kRankPlotPanel;

std::span<const Panel> all_panels() {
  static const std::array<Panel, 14> panels = {
      kTokensPanel, kPiecesPanel,  kMergesPanel, kPairsPanel,     kEmbeddingRowPanel, kNeighboursPanel,      kCosinesPanel,
      kHeadsPanel,  kPatternPanel, kCellPanel,   kNextTokenPanel, kChainPanel,        kSamplerSettingsPanel, kRankPlotPanel};
  return panels;
}

}  // namespace glassbox
