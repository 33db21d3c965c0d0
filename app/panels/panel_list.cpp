// The list of all panels: the one line that a panel needs besides its own file.
#include "app/panels/panel_list.h"

#include <array>

namespace glassbox {

std::span<const Panel> all_panels() {
  static const std::array<Panel, 14> panels = {
      kTokensPanel, kPiecesPanel,  kMergesPanel, kPairsPanel,     kEmbeddingRowPanel, kNeighboursPanel,      kCosinesPanel,
      kHeadsPanel,  kPatternPanel, kCellPanel,   kNextTokenPanel, kChainPanel,        kSamplerSettingsPanel, kRankPlotPanel};
  return panels;
}

}  // namespace glassbox
