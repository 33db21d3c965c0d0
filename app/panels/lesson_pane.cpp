#include "app/panels/lesson_pane.h"

#include <algorithm>
#include <cmath>

#include "app/shell/icons.h"
#include "app/widgets/widgets.h"
#include "core/model/model.h"

namespace glassbox {

namespace {

constexpr float kSide = 18;     // at 100 %
constexpr float kFooter = 44;

const LessonProgress* find_progress(const Document& document, const std::string& lesson) {
  const auto it = document.progress.find(lesson);
  return it == document.progress.end() ? nullptr : &it->second;
}

bool reached(const Document& document, const std::string& lesson, const std::string& goal) {
  const LessonProgress* progress = find_progress(document, lesson);
  return progress && progress->goals.contains(goal);
}

}  // namespace

std::string_view stage_title(int stage) {
  static constexpr std::string_view kTitles[] = {"Tokenization", "Embeddings", "Attention and the transformer", "Training",
                                                 "Fine-tuning and alignment", "Inference", "Agents, tools and harnesses",
                                                 "Evals and interpretability"};
  return kTitles[std::clamp(stage, 1, 8) - 1];
}

Result<void> LessonPane::load() {
  Result<std::vector<Lesson>> lessons = load_lessons(find_lesson_folder());
  if (!lessons) return lessons.error();
  lessons_ = lessons.take();
  return {};
}

const Lesson* LessonPane::shown(const Document& document) const {
  const Lesson *first = nullptr, *open = nullptr;
  for (const Lesson& lesson : lessons_) {
    if (lesson.stage != document.stage) continue;
    if (lesson.id == document.lesson) return &lesson;
    if (!first) first = &lesson;
    const bool done = std::all_of(lesson.goals.begin(), lesson.goals.end(),
                                  [&](const Goal& goal) { return reached(document, lesson.id, goal.id); });
    if (!done && !open) open = &lesson;
  }
  return open ? open : first;
}

LessonPane::Progress LessonPane::progress(const Document& document, int stage) const {
  Progress progress;
  for (const Lesson& lesson : lessons_) {
    if (lesson.stage != stage) continue;
    progress.total += static_cast<int>(lesson.goals.size());
    for (const Goal& goal : lesson.goals) progress.reached += reached(document, lesson.id, goal.id);
  }
  return progress;
}

void LessonPane::open(FrameContext& context, const Lesson& lesson) {
  context.run(cmd::OpenLesson{lesson.id});
  for (const Command& command : lesson.start) context.run(command);
}

void LessonPane::measure_texts(const FrameContext& context, const Lesson& lesson) {
  const uint64_t revision = context.bench.revision();
  if (measured_revision_ == revision && measured_lesson_ == lesson.id) return;
  measured_revision_ = revision, measured_lesson_ = lesson.id;
  filled_.clear(), progress_.clear();
  std::optional<EncodeTrace> trace;
  const MeasureContext measures{context.document(), context.view(), context.model(), lesson.id, &trace};
  const auto fill = [&](const std::string& text) { filled_[text] = fill_measures(text, measures); };
  fill(lesson.text), fill(lesson.limits);
  for (const Prediction& question : lesson.predictions) fill(question.reveal);
  for (const Goal& goal : lesson.goals) {
    std::string value = "—", &progress = progress_[goal.id] = goal.progress;
    if (!goal.conditions.empty())
      if (const std::optional<double> number = measure(goal.conditions.front().quantity, measures)) value = format_measure(*number);
    if (const size_t place = progress.find("{}"); place != std::string::npos) progress.replace(place, 2, value);
  }
}

const std::string& LessonPane::filled(const std::string& text) const { return filled_.at(text); }
const std::string& LessonPane::progress_text(const Goal& goal) const { return progress_.at(goal.id); }

void LessonPane::draw(FrameContext& context) {
  const Theme& theme = context.theme;
  const Document& document = context.document();
  const ImVec2 origin = ImGui::GetWindowPos(), size = ImGui::GetWindowSize();
  const ImVec2 corner(origin.x + size.x - theme.px(42), origin.y + theme.px(14));
  const Lesson* lesson = shown(document);
  if (!lesson) {
    ImGui::SetCursorScreenPos({origin.x + theme.px(kSide), origin.y + theme.px(18)});
    text_line(theme.small, theme.dim, std::to_string(document.stage) + " · " + std::string(stage_title(document.stage)));
    ImGui::SetCursorScreenPos({origin.x + theme.px(kSide), origin.y + theme.px(44)});
    ImGui::PushTextWrapPos(size.x - theme.px(kSide));
    text_wrapped(theme.body, theme.dim, "There is no lesson for this stage yet.");
    ImGui::PopTextWrapPos();
  } else {
    measure_texts(context, *lesson);
    ImGui::SetCursorScreenPos(origin);
    ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(theme.px(kSide), theme.px(18)));
    ImGui::BeginChild("text", {size.x, size.y - theme.px(kFooter)}, ImGuiChildFlags_AlwaysUseWindowPadding | ImGuiChildFlags_NavFlattened);
    ImGui::PopStyleVar();
    if (scrolled_ != lesson->id) scrolled_ = lesson->id, ImGui::SetScrollY(0);
    ImGui::PushStyleVar(ImGuiStyleVar_ItemSpacing, ImVec2(theme.px(8), theme.px(8)));
    text_line(theme.small, theme.dim, std::to_string(lesson->stage) + " · " + std::string(stage_title(lesson->stage)));
    ImGui::SetCursorPosY(ImGui::GetCursorPosY() - theme.px(4));
    ImGui::PushTextWrapPos(ImGui::GetContentRegionMax().x - theme.px(20));
    text_wrapped(theme.title, theme.text, lesson->title);
    ImGui::PopTextWrapPos();
    ImGui::Dummy({1, theme.px(2)});
    if (document.lesson != lesson->id && !lesson->start.empty()) {
      if (small_button(theme, "Begin", {.primary = true, .width = theme.px(96), .height = theme.px(30),
                                        .hint = "Sets prompt, selection and settings as the lesson wants them; Ctrl+Z brings yours back"}))
        open(context, *lesson);
      ImGui::Dummy({1, theme.px(2)});
    }
    markdown_.draw(theme, filled(lesson->text));
    ImGui::Dummy({1, theme.px(4)});
    draw_predictions(context, *lesson);
    draw_tries(context, *lesson);
    draw_goals(context, *lesson);
    if (!lesson->limits.empty()) {
      ImGui::Dummy({1, theme.px(4)});
      text_line(theme.small_bold, theme.dim, "What this does not show");
      ImGui::SetCursorPosY(ImGui::GetCursorPosY() - theme.px(4));
      markdown_.draw(theme, filled(lesson->limits), theme.dim);
    }
    if (!lesson->sources.empty()) {
      ImGui::Dummy({1, theme.px(2)});
      text_line(theme.small_bold, theme.dim, "Sources");
      ImGui::PushStyleVar(ImGuiStyleVar_ItemSpacing, ImVec2(theme.px(8), theme.px(4)));
      for (const std::string& source : lesson->sources) text_wrapped(theme.small, theme.dim, source);
      ImGui::PopStyleVar();
    }
    ImGui::PopStyleVar();
    fade_scrolled_edges(theme, theme.surface);
    ImGui::EndChild();
    draw_footer(context, *lesson, {origin.x, origin.y + size.y - theme.px(kFooter)}, {origin.x + size.x, origin.y + size.y});
  }
  // In a child of its own, or the scrolling text would lie over it and take its clicks.
  ImGui::SetCursorScreenPos(corner);
  ImGui::BeginChild("corner", {theme.px(34), theme.px(30)}, ImGuiChildFlags_NavFlattened, ImGuiWindowFlags_NoBackground | ImGuiWindowFlags_NoScrollbar);
  if (icon_button(theme, "close", Icon::close, {.quiet = true, .hint = "Hide the lesson; the book at the edge brings it back"}))
    context.run(cmd::ShowPanel{"lesson", false});
  ImGui::EndChild();
}

void LessonPane::draw_predictions(FrameContext& context, const Lesson& lesson) {
  const Theme& theme = context.theme;
  for (const Prediction& question : lesson.predictions) {
    ImGui::PushID(question.id.c_str());
    markdown_.draw(theme, "**" + question.text + "**");
    const LessonProgress* progress = find_progress(context.document(), lesson.id);
    std::string given;
    if (progress)
      if (const auto it = progress->predictions.find(question.id); it != progress->predictions.end()) given = it->second;

    // All in one row when they fit, else one below the other.
    const float room = ImGui::GetContentRegionAvail().x, gap = theme.px(7);
    const auto count = static_cast<float>(std::max<size_t>(question.answers.size(), 1));
    float natural = gap * (count - 1);
    for (const Answer& answer : question.answers) natural += button_width(theme, answer.text);
    const bool in_row = natural <= room;
    const float extra = std::floor((room - natural) / count);
    float left = ImGui::GetCursorScreenPos().x;
    const float line = ImGui::GetCursorScreenPos().y + theme.px(2);
    for (size_t i = 0; i < question.answers.size(); ++i) {
      const Answer& answer = question.answers[i];
      const float width = in_row ? button_width(theme, answer.text) + extra : room;
      if (in_row) ImGui::SetCursorScreenPos({left, line}), left += width + gap;
      ImGui::PushID(answer.id.c_str());
      if (small_button(theme, (answer.text + "##answer").c_str(),
                       {.active = given == answer.id, .width = width, .height = theme.px(30)}))
        context.run(cmd::Predict{lesson.id, question.id, answer.id});
      ImGui::PopID();
    }
    if (!given.empty()) {
      const bool right = given == question.right;
      std::string expected;
      for (const Answer& answer : question.answers)
        if (answer.id == question.right) expected = answer.text;
      const ImVec2 at = ImGui::GetCursorScreenPos();
      const float mark = theme.px(18);
      if (right) draw_icon(ImGui::GetWindowDrawList(), Icon::check, {at.x + mark / 2, at.y + theme.px(9)}, mark, theme.ok, theme.px(2));
      ImGui::SetCursorScreenPos({at.x + (right ? mark + theme.px(4) : 0), at.y});
      text_line(theme.bold, right ? theme.ok : theme.warn, right ? "As you said: " + expected : "Not so. It is: " + expected);
      ImGui::SetCursorPosY(ImGui::GetCursorPosY() - theme.px(3));
      markdown_.draw(theme, filled(question.reveal));
    }
    ImGui::Dummy({1, theme.px(4)});
    ImGui::PopID();
  }
}

void LessonPane::draw_tries(FrameContext& context, const Lesson& lesson) {
  const Theme& theme = context.theme;
  for (size_t i = 0; i < lesson.tries.size(); ++i) {
    const Try& attempt = lesson.tries[i];
    const float width = ImGui::GetContentRegionAvail().x, height = theme.px(32);
    const ImVec2 min = ImGui::GetCursorScreenPos(), max(min.x + width, min.y + height);
    ImGui::PushID(static_cast<int>(i));
    const bool clicked = press_area(attempt.label.c_str(), {width, height});
    ImGui::PopID();
    ImDrawList* draw = ImGui::GetWindowDrawList();
    const bool hovered = ImGui::IsItemHovered(), held = ImGui::IsItemActive();
    draw->AddRectFilled(min, max, held ? theme.pressed : hovered ? theme.hover : theme.raised, theme.px(Theme::kRounding));
    draw->AddRect(min, max, theme.line, theme.px(Theme::kRounding), 0, theme.hairline());
    draw_icon(draw, Icon::play, {min.x + theme.px(18), (min.y + max.y) / 2}, theme.px(15), theme.accent, 1);
    const ImFontBaked* baked = theme.body.font->GetFontBaked(theme.body.size);
    draw_visible_text(draw, theme.body, {min.x + theme.px(33), (min.y + max.y - baked->Ascent + baked->Descent) / 2}, theme.text,
                      fit_text(theme.body, attempt.label, width - theme.px(42)));
    draw_focus(theme, min, max);
    ImGui::SetCursorPosY(ImGui::GetCursorPosY() - theme.px(2));
    if (!clicked) continue;
    if (context.document().lesson != lesson.id) context.run(cmd::OpenLesson{lesson.id});
    for (const Command& command : attempt.commands) context.run(command);
  }
}

void LessonPane::draw_goals(FrameContext& context, const Lesson& lesson) {
  const Theme& theme = context.theme;
  if (lesson.goals.empty()) return;
  ImGui::Dummy({1, theme.px(8)});
  for (const Goal& goal : lesson.goals) {
    const bool done = reached(context.document(), lesson.id, goal.id);
    const ImVec2 at = ImGui::GetCursorScreenPos();
    const float box = theme.px(16);
    ImDrawList* draw = ImGui::GetWindowDrawList();
    const ImVec2 min(at.x, at.y + theme.px(1)), max(at.x + box, at.y + theme.px(1) + box);
    const float arrived = context.motion.value(ImGui::GetID(goal.id.c_str()), done ? 1.0f : 0.0f, 0.18f);
    if (arrived > 0) {
      const float shrink = box * 0.5f * (1 - arrived);
      draw->AddRectFilled({min.x + shrink, min.y + shrink}, {max.x - shrink, max.y - shrink}, theme.ok, theme.px(4));
      if (done) draw_icon(draw, Icon::check, {(min.x + max.x) / 2, (min.y + max.y) / 2}, theme.px(15), theme.kind == ThemeKind::dark ? theme.background : theme.surface, theme.px(1.8f));
    }
    if (!done) draw->AddRect(min, max, theme.dim, theme.px(4), 0, theme.px(1.3f));
    ImGui::Indent(theme.px(25));
    std::string text = goal.text;
    if (!done && !goal.progress.empty()) text += " <dim>· " + progress_text(goal) + "</dim>";
    markdown_.draw(theme, text, done ? theme.dim : theme.text);
    ImGui::Unindent(theme.px(25));
  }
}

void LessonPane::draw_footer(FrameContext& context, const Lesson& lesson, ImVec2 min, ImVec2 max) {
  const Theme& theme = context.theme;
  std::vector<const Lesson*> stage;
  for (const Lesson& other : lessons_)
    if (other.stage == lesson.stage) stage.push_back(&other);
  const auto here = std::find(stage.begin(), stage.end(), &lesson);
  const auto index = static_cast<size_t>(here - stage.begin());
  const float y = min.y + theme.px(10), side = theme.px(kSide);
  const std::string count = std::to_string(index + 1) + " of " + std::to_string(stage.size());
  const float width = text_size(theme.small, count).x, gap = theme.px(14);
  const bool first = index == 0, last = index + 1 == stage.size();
  // The count stands in the middle, or at the end from which no title leads on: that leaves the other title its room.
  const float at = first && !last ? min.x + side : last && !first ? max.x - side - width : (min.x + max.x - width) / 2;
  draw_text(ImGui::GetWindowDrawList(), theme.small, {at, y + theme.px(3)}, theme.dim, count);
  const float room = (first || last ? max.x - min.x - 2 * side - width : (max.x - min.x - width) / 2 - side) - gap - text_size(theme.small, "‹ ").x;
  const auto link = [&](const char* id, const std::string& text, float x) {
    const ImVec2 size = text_size(theme.small, text);
    ImGui::SetCursorScreenPos({x, y});
    const bool clicked = press_area(id, {size.x, theme.px(24)});
    const bool lit = ImGui::IsItemHovered() || item_focused();
    draw_focus(theme, {x, y}, {x + size.x, y + theme.px(24)});
    draw_text(ImGui::GetWindowDrawList(), theme.small, {x, y + theme.px(3)}, lit ? theme.text : theme.dim, text);
    return clicked;
  };
  if (index > 0 && link("previous lesson", "‹ " + fit_text(theme.small, stage[index - 1]->title, room), min.x + side))
    open(context, *stage[index - 1]);
  if (index + 1 < stage.size()) {
    const std::string text = fit_text(theme.small, stage[index + 1]->title, room) + " ›";
    if (link("next lesson", text, max.x - side - text_size(theme.small, text).x)) open(context, *stage[index + 1]);
  }
}

}  // namespace glassbox
