// The prompt bar: the text, its tokens as chips, the transport and the run's timeline. It stands above every stage.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/panels/panel.h"

namespace glassbox {

class PromptBar {
 public:
  // Its height in pixels for a window of that width, with as many lines of text (one to three) as there are now.
  float height(const Theme& theme, const Document& document, float width) const;
  // Draws into the current window, which is as wide as asked and has no padding.
  void draw(FrameContext& context);
  // The text takes the keyboard in the next frame.
  void focus() { focus_ = to_end_ = true; }
  bool editing() const { return editing_; }

 private:
  // Where a token of the prompt stands in the text; begin = end = −1 for one that the template put in.
  struct Place {
    int begin, end;
  };
  void sync(FrameContext& context);
  void draw_text_field(FrameContext& context, ImVec2 min, ImVec2 size);
  void mark_hovered(FrameContext& context, ImGuiID id, ImVec2 min, ImVec2 size);
  void draw_transport(FrameContext& context, float right, float top);
  void draw_chips(FrameContext& context, ImVec2 min, float width);
  void make_chips(const Theme& theme, const Model& model, const std::vector<int32_t>& tokens);
  void walk_on(int at_keys, int last, int count);
  void explain_chip(FrameContext& context, int position, int32_t token);

  std::string buffer_;             // what the field holds; the Document's text unless that refused it
  std::string known_;              // the Document's text when the buffer was last in step with it
  bool refused_ = false;           // the Document did not take the buffer
  bool focus_ = false, to_end_ = false, editing_ = false, seed_editing_ = false, seed_focus_ = false;
  bool follow_end_ = false;        // scroll the chips to the end
  int first_ = 0;                  // the first chip of the row
  int walked_to_ = -1;             // the chip that the keyboard goes to in this frame
  int seen_length_ = 0;            // tokens shown in the last frame
  std::vector<Place> places_;      // of the prompt's tokens
  std::string places_key_;
  struct Chips {
    uint64_t model = 0;  // its hash
    float scale = 0;     // of the theme
    std::vector<int32_t> tokens;
    std::vector<std::string> texts;
    std::vector<float> lefts{0};  // of each, and the end of the last with its gap
  };
  Chips chips_;
  std::shared_ptr<const ChainResult> predicted_from_;
  int32_t predicted_ = -1;
  float predicted_probability_ = 0;
};

}  // namespace glassbox
