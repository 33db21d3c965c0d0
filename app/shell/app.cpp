#include "app/shell/app.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <utility>

#include "app/shell/png.h"
#include "app/widgets/token_text.h"
#include "core/base/files.h"
#include "imgui_internal.h"

namespace glassbox {

namespace {

constexpr float kLessonStrip = 36;  // pixels at 100 %
constexpr float kScales[] = {0.8f, 0.9f, 1.0f, 1.1f, 1.25f, 1.5f, 1.75f, 2.0f, 2.25f, 2.5f};

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool begins_as_model(const std::string& path) {
  FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) return false;
  char magic[4] = {};
  const size_t read = std::fread(magic, 1, sizeof magic, file);
  std::fclose(file);
  return read == sizeof magic && std::string_view(magic, 4) == "GGUF";
}

}  // namespace

App::App(AppOptions options, Host& host) : options_(std::move(options)), host_(host), bench_(options_.bench, options_.document) {
  actions_ = make_actions(*this);
}

App::~App() = default;

Result<std::unique_ptr<App>> App::make(AppOptions options, Host& host) {
  Result<Fonts> fonts = load_fonts();
  if (!fonts) return fonts.error();
  std::unique_ptr<App> app(new App(std::move(options), host));
  app->fonts_ = *fonts;
  ImGui::GetIO().FontDefault = fonts->text;
  if (app->options_.typed_paths) app->dialogs_.use_typed_paths();
  if (app->options_.model_error) app->report(*app->options_.model_error);
  if (!app->options_.model_path.empty()) app->bench_.load_model(app->options_.model_path);
  if (Result<void> lessons = app->lessons_.load(); !lessons) app->report(lessons.error());
  return app;
}

FrameContext App::context(const Panel* panel) {
  return FrameContext{bench_, theme_, textures_, memo_, hovered_, hover_, now_, motion_, *this, panel};
}

void App::run(const Command& command) {
  if (const Result<void> done = bench_.apply(command); !done) report(done.error());
}

// ---- frames ----

void App::update_theme() {
  const Document& document = bench_.document();
  const float factor = document.scale * monitor_scale_;
  const ThemeChoice choice{document.theme, factor, document.map, document.motion};
  if (choice == themed_) return;
  if (factor != themed_.factor) layout_stale_ = true;
  themed_ = choice;
  theme_ = make_theme(choice.kind, factor, choice.map, choice.motion, fonts_);
  apply_style(theme_);
}

void App::prepare(double now, float monitor_scale) {
  now_ = now;
  monitor_scale_ = monitor_scale;
  news_ = take_news();
  check_goals();
  update_theme();
  if (options_.autosave) {
    session_.watch(bench_.document(), now);
    if (std::optional<Error> error = session_.take_error()) report(*error);
  }
  notices_.follow("model", bench_.load_error());
  notices_.follow("engine", bench_.error());
  // Nobody asked for it: a GPU was left, or could not be taken.
  std::optional<Error> device;
  if (options_.tells_device && !bench_.device_note().empty())
    device = Error{ErrorKind::device, bench_.device_note(), "", "", "Where it is computed is chosen in the status bar."};
  notices_.follow("device", device, true);
  loading_since_ = bench_.loading() ? (loading_since_ > 0 ? loading_since_ : now) : 0;
  busy_since_ = bench_.status().busy ? (busy_since_ > 0 ? busy_since_ : now) : 0;
}

bool App::take_news() {
  update_needs();
  bool changed = std::exchange(news_, false);
  while (bench_.pump()) changed = true;
  const std::shared_ptr<const Model> model = bench_.model();
  const std::string title = model ? "Glassbox: " + model->name() : "Glassbox";
  if (title != title_) host_.set_title(title_ = title);
  return changed;
}

bool App::panel_open(const Panel& panel) const {
  if (panel.stage != document().stage) return false;
  const auto it = document().panels.find(std::string(panel.id));
  return it == document().panels.end() || it->second;
}

bool App::lesson_open() const {
  const auto it = document().panels.find("lesson");
  return it == document().panels.end() || it->second;
}

void App::update_needs() {
  Needs needs;
  const std::shared_ptr<const Model> model = bench_.model();
  if (model) {
    for (const Panel& panel : all_panels())
      if (panel_open(panel) && panel.needs) panel.needs(document(), model->config(), needs);
    if (document().stage != 1) needs.chain = true;  // the dashed chip of the prompt bar
    if (const Lesson* lesson = lessons_.shown(document()); lesson && lesson_open())
      needs.merge(lesson_needs(*lesson, document(), model->config()));
  }
  bench_.set_needs(needs);
}

void App::check_goals() {
  if (goals_checked_ == bench_.revision()) return;
  goals_checked_ = bench_.revision();
  if (const Lesson* lesson = lessons_.shown(document()); lesson && lesson_open())
    for (const std::string& goal : newly_reached(*lesson, bench_)) run(cmd::ReachGoal{lesson->id, goal});
}

void App::draw() {
  const double begun = wall_seconds();
  motion_.begin_frame(now_, theme_.motion);
  textures_.begin_frame();
  hovered_ = hover_, hover_ = Hover{};
  handle_keys();

  const ImVec2 origin = ImGui::GetMainViewport()->Pos, size = ImGui::GetMainViewport()->Size;
  const float rail = theme_.px(Theme::kRail), status = theme_.px(Theme::kStatusBar);
  const float top = prompt_.height(theme_, document(), size.x - rail);
  // Beside the panels, where these keep the room that they need; else it waits in a strip at the edge, and lies over them
  // while it is read.
  const float beside = std::clamp(std::round((size.x - rail) * 0.36f), theme_.px(270), theme_.px(Theme::kLessonPane));
  const bool fits = size.x - rail - beside >= theme_.px(narrow_width(document().stage));
  const bool lesson = lesson_open();
  if (lesson && !lesson_was_open_) lesson_over_ = true;
  if (!lesson || fits) lesson_over_ = false;
  lesson_was_open_ = lesson;
  const float pane = lesson && fits ? beside : theme_.px(kLessonStrip);
  const ImVec2 centre_min(origin.x + rail, origin.y + top);
  const ImVec2 centre_size(std::max(1.0f, size.x - rail - pane), std::max(1.0f, size.y - top - status));

  ImGui::GetBackgroundDrawList()->AddRectFilled(origin, {origin.x + size.x, origin.y + size.y}, theme_.background);
  draw_top({origin.x + rail, origin.y}, {size.x - rail, top});
  draw_centre(centre_min, centre_size);
  const float edge = centre_min.x + centre_size.x;
  if (lesson && fits) draw_lesson({edge, centre_min.y}, {pane, centre_size.y});
  else draw_lesson_strip({edge, centre_min.y}, {pane, centre_size.y});
  if (lesson_over_) {
    const float width = std::min(theme_.px(Theme::kLessonPane), centre_size.x);
    draw_lesson({edge - width, centre_min.y}, {width, centre_size.y});
  }
  draw_rail(origin, {rail, size.y - status});
  draw_status({origin.x, origin.y + size.y - status}, {size.x, status});

  const ImVec2 centre_max(centre_min.x + centre_size.x, centre_min.y + centre_size.y);
  draw_loading(centre_min, centre_max);
  // Beside what explains a part of the status bar, where there is room.
  const bool beside_details = centre_max.x - details_right_ >= theme_.px(320);
  notices_.draw(theme_, {beside_details ? std::max(centre_min.x, details_right_) : centre_min.x, centre_min.y}, centre_max, now_);
  palette_.draw(theme_, actions_, origin, {origin.x + size.x, origin.y + size.y});
  dialogs_.draw(theme_, origin, {origin.x + size.x, origin.y + size.y});
  draw_about();
  // What this frame's input has asked for is computed while the frame goes to the screen.
  update_needs();
  bench_.ask();
  frame_seconds_ = wall_seconds() - begun;
}

void App::draw_top(ImVec2 min, ImVec2 size) {
  constexpr ImGuiWindowFlags kFlags = ImGuiWindowFlags_NoDecoration | ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoSavedSettings |
                                      ImGuiWindowFlags_NoDocking | ImGuiWindowFlags_NoBringToFrontOnFocus |
                                      ImGuiWindowFlags_NoScrollWithMouse;
  ImGui::SetNextWindowPos(min);
  ImGui::SetNextWindowSize(size);
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(0, 0));
  ImGui::PushStyleVar(ImGuiStyleVar_WindowBorderSize, 0.0f);
  ImGui::PushStyleVar(ImGuiStyleVar_WindowRounding, 0.0f);
  ImGui::Begin("prompt", nullptr, kFlags);
  ImGui::PopStyleVar(3);
  FrameContext frame = context();
  prompt_.draw(frame);
  ImGui::GetWindowDrawList()->AddRectFilled({min.x, min.y + size.y - theme_.hairline()}, {min.x + size.x, min.y + size.y}, theme_.line);
  ImGui::End();
}

void App::draw_lesson(ImVec2 min, ImVec2 size) {
  constexpr ImGuiWindowFlags kFlags = ImGuiWindowFlags_NoDecoration | ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoSavedSettings |
                                      ImGuiWindowFlags_NoDocking | ImGuiWindowFlags_NoBringToFrontOnFocus;
  ImGui::SetNextWindowPos(min);
  ImGui::SetNextWindowSize(size);
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(0, 0));
  ImGui::PushStyleVar(ImGuiStyleVar_WindowBorderSize, 0.0f);
  ImGui::PushStyleVar(ImGuiStyleVar_WindowRounding, 0.0f);
  ImGui::Begin("lesson", nullptr, kFlags);
  ImGui::PopStyleVar(3);
  ImGui::GetWindowDrawList()->AddRectFilled(min, {min.x + theme_.hairline(), min.y + size.y}, theme_.line);
  FrameContext frame = context();
  lessons_.draw(frame);
  if (lesson_over_ && !ImGui::IsPopupOpen("", ImGuiPopupFlags_AnyPopupId | ImGuiPopupFlags_AnyPopupLevel))
    ImGui::BringWindowToDisplayFront(ImGui::GetCurrentWindow());
  ImGui::End();
}

bool App::wants_frame() const {
  if (motion_.moving() || capture_.has_value() || dragging_ || ImGui::GetIO().MouseDown[0]) return true;
  // A key that is held repeats.
  for (int key = ImGuiKey_NamedKey_BEGIN; key < ImGuiKey_GamepadStart; ++key)
    if (ImGui::IsKeyDown(static_cast<ImGuiKey>(key))) return true;
  return false;
}

double App::next_change() const {
  double next = 0;
  const auto sooner = [&](double at) {
    if (at > 0 && (next == 0 || at < next)) next = at;
  };
  sooner(notices_.next_change());
  if (options_.autosave) sooner(session_.next_change());
  // Progress is told by figures that only grow while something runs; ten looks a second are enough.
  if (bench_.loading() || bench_.status().busy || dialogs_.waiting()) sooner(now_ + 0.1);
  return next;
}

bool App::settled() const { return !bench_.busy() && !motion_.moving(); }

// ---- keys ----

void App::handle_keys() {
  const ImGuiIO& io = ImGui::GetIO();
  const bool typing = io.WantTextInput;
  const bool menu = ImGui::IsPopupOpen("", ImGuiPopupFlags_AnyPopupId | ImGuiPopupFlags_AnyPopupLevel);
  // While someone walks through the window with the keyboard, the arrows and Space belong to that.
  const bool walking = io.NavVisible;
  // Esc has left what the keyboard stood on. Dear ImGui would still take Tab for a step from there, and go nowhere.
  if (ImGui::GetCurrentContext()->NavId == 0 && !menu) ImGui::SetNavCursorVisible(false);
  const ImGuiID mine = ImHashStr("transport");
  for (const Action& action : actions_) {
    if (action.chord == 0) continue;
    const auto key = static_cast<ImGuiKey>(action.chord & ~ImGuiMod_Mask_);
    if (!action.while_typing) {
      if (typing || menu || walking) continue;
      // A slider under the keyboard keeps its arrows; else they are taken before the navigation sees them.
      const ImGuiID owner = ImGui::GetKeyOwner(key);
      if (owner != ImGuiKeyOwner_NoOwner && owner != mine) continue;
      ImGui::SetKeyOwner(key, mine);
      if (io.KeyMods != 0 || !ImGui::IsKeyPressed(key, key == ImGuiKey_Space ? ImGuiInputFlags_None : ImGuiInputFlags_Repeat, mine)) continue;
    } else if (!ImGui::IsKeyChordPressed(action.chord)) {
      continue;
    }
    if (menu && action.name != "Command palette") continue;
    if (!action.enabled || action.enabled()) action.run();
  }
  // Ctrl++ on keyboards where + is a key of its own, or on the number pad; Ctrl+Shift+Z is another redo.
  if (!menu) {
    if (ImGui::IsKeyChordPressed(ImGuiMod_Ctrl | ImGuiKey_KeypadAdd) || ImGui::IsKeyChordPressed(ImGuiMod_Ctrl | ImGuiMod_Shift | ImGuiKey_Equal)) step_scale(1);
    if (ImGui::IsKeyChordPressed(ImGuiMod_Ctrl | ImGuiKey_KeypadSubtract)) step_scale(-1);
    if (ImGui::IsKeyChordPressed(ImGuiMod_Ctrl | ImGuiMod_Shift | ImGuiKey_Z) && bench_.can_redo()) bench_.redo();
    if (ImGui::IsKeyPressed(ImGuiKey_Escape, false) && !typing) {
      if (!status_detail_.empty()) status_detail_.clear();
      else lesson_over_ = false;
    }
  }
}

void App::step_scale(int direction) {
  const float scale = document().scale;
  float next = 1.0f;
  if (direction > 0) {
    const auto it = std::upper_bound(std::begin(kScales), std::end(kScales), scale + 0.01f);
    next = it == std::end(kScales) ? kScales[std::size(kScales) - 1] : *it;
  } else if (direction < 0) {
    const auto it = std::lower_bound(std::begin(kScales), std::end(kScales), scale - 0.01f);
    next = it == std::begin(kScales) ? kScales[0] : *(it - 1);
  }
  if (next == scale) return;
  run(cmd::SetScale{next});
  say(std::to_string(static_cast<int>(std::lround(next * 100))) + " %");
}

// ---- files ----

void App::open_path(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error) || std::filesystem::is_directory(path, error)) {
    report(Error{ErrorKind::bad_file, "There is no such file.", path, "a model (.gguf) or a document (.glassbox.json)", "Check the path."});
    return;
  }
  if (begins_as_model(path) || path.ends_with(".gguf")) {
    bench_.load_model(path);
    return;
  }
  Result<Document> document = open_document(path);
  if (!document) {
    report(document.error());
    return;
  }
  const std::string model = document->model_path;
  bench_.replace_document(document.take());
  document_path_ = path;
  layout_stale_ = true;
  say("opened " + std::filesystem::path(path).filename().string());
  const std::shared_ptr<const Model> current = bench_.model();
  if (!model.empty() && (!current || current->path() != model) && std::filesystem::exists(model, error)) bench_.load_model(model);
}

void App::ask_open() {
  std::string start;
  if (const auto model = bench_.model()) start = std::filesystem::path(model->path()).parent_path().string() + "/";
  dialogs_.ask(FileQuestion::open, "Open a model or a document", start,
               {"Models and documents", "*.gguf *.glassbox.json", "All files", "*"}, [this](const std::string& path) { open_path(path); });
}

void App::ask_save(bool new_name) {
  const auto save = [this](const std::string& given) {
    std::string path = given;
    if (std::filesystem::path(path).extension().empty()) path += ".glassbox.json";
    if (const Result<void> saved = save_document(document(), path); !saved) {
      report(saved.error());
      return;
    }
    document_path_ = path;
    say("saved " + std::filesystem::path(path).filename().string());
  };
  if (!new_name && !document_path_.empty()) {
    save(document_path_);
    return;
  }
  dialogs_.ask(FileQuestion::save, "Save the document", document_path_.empty() ? "untitled.glassbox.json" : document_path_,
               {"Documents", "*.glassbox.json"}, save);
}

void App::save_png(const std::string& name, ImVec2 min, ImVec2 max) {
  dialogs_.ask(FileQuestion::save, "Save the figure as PNG", name + ".png", {"Pictures", "*.png"}, [this, min, max](const std::string& given) {
    std::string path = given;
    if (std::filesystem::path(path).extension().empty()) path += ".png";
    capture_ = Capture{path, min, max};
    capture_wait_ = 2;  // the menu and the dialog are gone from the frame after next
  });
}

void App::after_render() {
  if (!capture_ || capture_wait_-- > 0) return;
  const Capture capture = *capture_;
  capture_.reset();
  const ImVec2 display = ImGui::GetIO().DisplaySize, density = ImGui::GetIO().DisplayFramebufferScale;
  const auto pixel = [](float value, float limit, float factor) { return static_cast<int>(std::lround(std::clamp(value, 0.0f, limit) * factor)); };
  const int x0 = pixel(capture.min.x, display.x, density.x), y0 = pixel(capture.min.y, display.y, density.y);
  const int x1 = pixel(capture.max.x, display.x, density.x), y1 = pixel(capture.max.y, display.y, density.y);
  if (x1 <= x0 || y1 <= y0) return;
  const std::vector<uint8_t> pixels = host_.read_pixels(x0, y0, x1 - x0, y1 - y0);
  if (const Result<void> saved = save_png_file(capture.path, pixels, x1 - x0, y1 - y0); !saved) report(saved.error());
  else say("saved " + std::filesystem::path(capture.path).filename().string());
}

void App::say(const std::string& text) { notices_.say(text, now_); }
void App::report(const Error& error) { notices_.report(error); }

void App::finish() {
  if (options_.autosave) session_.finish(document());
  lessons_.release();
}

}  // namespace glassbox
