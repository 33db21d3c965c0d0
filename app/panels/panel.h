// A panel: one file, and one line in the list of panel_list.cpp.
#pragma once

#include <span>
#include <string_view>

#include "app/theme/theme.h"
#include "app/widgets/memo.h"
#include "app/widgets/motion.h"
#include "app/widgets/textures.h"
#include "core/run/workbench.h"

namespace glassbox {

// What the pointer is on, shared by all panels: hovering token 4 in one marks token 4 in all. Written while a frame is
// drawn, read by the next one. −1: nothing.
struct Hover {
  int position = -1;            // a token of the shown step
  int32_t token = -1;           // a token of the vocabulary (a candidate, a neighbour)
  int layer = -1, head = -1;    // a head
  int query = -1, key = -1;     // a cell of the chosen head's pattern
  int piece = -1;               // a pre-tokeniser piece
  int merge_step = -1;          // a step of the merges of the shown piece; 0: its bytes
};

struct Panel;

// What the shell does for a panel that its code cannot do itself. Null pointers never occur in a frame.
struct ShellServices {
  virtual ~ShellServices() = default;
  // Saves what the window's framebuffer shows in the rectangle (pixels) as PNG; asks for the file's name.
  virtual void save_png(const std::string& name, ImVec2 min, ImVec2 max) = 0;
  // A line at the window's lower edge that goes away by itself: "copied 576 values".
  virtual void say(const std::string& text) = 0;
  virtual void report(const Error& error) = 0;
};

struct FrameContext {
  Workbench& bench;         // document() and view() to read, apply() to change; panels keep no other state of the work
  const Theme& theme;       // colours, fonts and sizes, already scaled
  TextureCache& textures;   // figures uploaded when their data changes
  Memo& memo;               // what panels prepare when their data changes
  const Hover& hovered;     // of the frame before
  Hover& hover;             // of this frame
  double now;               // seconds, for motion
  Motion& motion;
  ShellServices& shell;
  const Panel* panel = nullptr;  // that is being drawn

  const Document& document() const { return bench.document(); }
  const View& view() const { return bench.view(); }
  const Model* model() const { return bench.model().get(); }
  // Applies a command; an error shows as a notice in the window.
  void run(const Command& command) {
    if (const Result<void> result = bench.apply(command); !result) shell.report(result.error());
  }
};

struct Panel {
  std::string_view id;      // stable: saved in documents
  std::string_view title;
  std::string_view help;    // what it shows and what can be done with it; mandatory
  int stage;                // in whose layout it stands
  void (*needs)(const Document& document, const ModelConfig& config, Needs& needs);
  void (*draw)(FrameContext& context);  // inside its window; the window's frame is the shell's
  // The figure's data as the command line prints it, for copying; null when there is nothing to copy.
  nlohmann::json (*figure)(const FrameContext& context) = nullptr;
};

std::span<const Panel> all_panels();

}  // namespace glassbox
