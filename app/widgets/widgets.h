// All widgets.
#pragma once

#include "app/widgets/controls.h"
#include "app/widgets/figure_cells.h"
#include "app/widgets/heatmap.h"
#include "app/widgets/hover_card.h"
#include "app/widgets/motion.h"
#include "app/widgets/numbers.h"
#include "app/widgets/panel_frame.h"
#include "app/widgets/textures.h"
#include "app/widgets/token_text.h"
