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

  // What measuring the shown text in every frame keeps; the check of the goals shares it.
  TraceMemo& traces() { return traces_; }

 private:
  void draw_predictions(FrameContext& context, const Lesson& lesson);
  void draw_tries(FrameContext& context, const Lesson& lesson);
  void draw_goals(FrameContext& context, const Lesson& lesson);
  void draw_footer(FrameContext& context, const Lesson& lesson, ImVec2 min, ImVec2 max);

  // Text with its measures put in, and a goal's progress. Measured when the work has changed, not at each frame.
  const std::string& filled(const FrameContext& context, const Lesson& lesson, const std::string& text);
  const std::string& progress_text(const FrameContext& context, const Lesson& lesson, const Goal& goal);
  template <class Make>
  const std::string& measured(const FrameContext& context, const Lesson& lesson, const std::string& key, const Make& make);

  std::vector<Lesson> lessons_;
  std::map<std::string, std::string> measured_;  // by what it is made of
  std::string measured_lesson_;
  uint64_t measured_revision_ = 0;
  Markdown markdown_;
  std::string scrolled_;  // the lesson whose top was shown
  TraceMemo traces_;
};

// The stages' names as lessons write them.
std::string_view stage_title(int stage);

}  // namespace glassbox
