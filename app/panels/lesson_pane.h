// The lesson pane: a short text, a prediction before the answer, things to try, and goals that tick themselves.
#pragma once

#include <optional>
#include <map>
#include <string>
#include <vector>

#include "app/panels/panel.h"
#include "app/widgets/markdown.h"
#include "lessons/lesson.h"

namespace glassbox {

class LessonPane {
 public:
  // Reads the lessons. Error (bad_file): the first that cannot be read; the window goes on without lessons.
  Result<void> load();
  const std::vector<Lesson>& lessons() const { return lessons_; }

  // The open lesson when it is one of the stage's, else the stage's first with an open goal; null when it has none.
  const Lesson* shown(const Document& document) const;
  struct Progress {
    int reached = 0, total = 0;
  };
  Progress progress(const Document& document, int stage) const;  // goals of all its lessons

  // Into the current window, which has no padding.
  void draw(FrameContext& context);
  // Opens a lesson and sets the workbench up for it.
  static void open(FrameContext& context, const Lesson& lesson);
  // Frees what the renderer holds; before it goes.
  void release() { markdown_.release(); }

 private:
  void draw_predictions(FrameContext& context, const Lesson& lesson);
  void draw_tries(FrameContext& context, const Lesson& lesson);
  void draw_goals(FrameContext& context, const Lesson& lesson);
  void draw_footer(FrameContext& context, const Lesson& lesson, ImVec2 min, ImVec2 max);

  // Puts the measures into the lesson's texts, when the work has changed and not at each frame.
  void measure_texts(const FrameContext& context, const Lesson& lesson);
  const std::string& filled(const std::string& text) const;
  const std::string& progress_text(const Goal& goal) const;

  std::vector<Lesson> lessons_;
  std::map<std::string, std::string> filled_;    // by the text without measures
  std::map<std::string, std::string> progress_;  // by the goal
  std::string measured_lesson_;
  uint64_t measured_revision_ = 0;
  Markdown markdown_;
  std::string scrolled_;  // the lesson whose top was shown
};

// The stages' names as lessons write them.
std::string_view stage_title(int stage);

}  // namespace glassbox
