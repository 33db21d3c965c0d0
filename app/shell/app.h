// The program behind the window: it owns the workbench, the theme and what stands around the panels, and draws one frame
// into whatever Dear ImGui context is current. The real window, pictures and GUI tests share it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/panels/lesson_pane.h"
#include "app/panels/panel.h"
#include "app/panels/prompt_bar.h"
#include "app/shell/actions.h"
#include "app/shell/file_dialogs.h"
#include "app/shell/layout.h"
#include "app/shell/notices.h"
#include "app/shell/palette.h"
#include "app/shell/session_file.h"

namespace glassbox {

// What the program asks of the place that it is drawn in.
struct Host {
  virtual ~Host() = default;
  // RGBA, rows from top to bottom, of the frame that was drawn last. Pixels of the framebuffer.
  virtual std::vector<uint8_t> read_pixels(int x, int y, int width, int height) = 0;
  virtual void set_title(const std::string& title) = 0;
  virtual void close() = 0;
};

struct AppOptions {
  WorkbenchOptions bench;
  Document document = make_document();
  std::string model_path;            // loaded at the start; empty: none
  std::optional<Error> model_error;  // shown at the start
  bool autosave = false;             // the document goes to the state folder a second after each change
  bool tells_device = true;          // a notice when it is another device than one would expect
  bool typed_paths = false;          // never the desktop's own file dialogs
};

class App final : public ShellServices {
 public:
  // Loads the fonts into the current Dear ImGui context. Error (failed): one is missing.
  static Result<std::unique_ptr<App>> make(AppOptions options, Host& host);
  ~App() override;

  // One frame: prepare() before ImGui::NewFrame(), draw() after it, after_render() when it lies in the framebuffer.
  // `now`: seconds of any steady clock. `monitor_scale`: 2 on a screen with doubled density.
  void prepare(double now, float monitor_scale = 1.0f);
  void draw();
  void after_render();

  // Takes finished work between frames. True when something changed and a frame is due.
  bool take_news();
  // after_render() is going to read the framebuffer.
  bool wants_pixels() const { return capture_.has_value(); }
  // False when the next frame would be the same as this one.
  bool wants_frame() const;
  bool reads_pixels() const { return capture_.has_value(); }  // after_render() may look at the picture
  // When something changes by itself (a saying goes, the document is to be saved); 0: never.
  double next_change() const;
  // Nothing is being computed, loaded or moved.
  bool settled() const;

  Workbench& bench() { return bench_; }
  const Workbench& bench() const { return bench_; }
  const Document& document() const { return bench_.document(); }
  const Theme& theme() const { return theme_; }
  TextureCache& textures() { return textures_; }
  Notices& notices() { return notices_; }
  const Hover& hovered() const { return hovered_; }  // of the last frame but one
  double frame_seconds() const { return frame_seconds_; }  // work of the last frame on this thread, without the GPU's

  void run(const Command& command);  // an error becomes a notice
  // By its content: a model (GGUF) is loaded, a document is opened.
  void open_path(const std::string& path);
  void ask_open();
  void ask_save(bool new_name);
  void show_palette() { palette_.open(); }
  void show_about() { about_ = true; }
  void focus_prompt() { prompt_.focus(); }
  void step_scale(int direction);  // +1, −1; 0: back to 100 %
  void close() { host_.close(); }
  void reset_layout();
  // Saves what is not saved yet; before the program ends.
  void finish();

  // ShellServices
  void save_png(const std::string& name, ImVec2 min, ImVec2 max) override;
  void say(const std::string& text) override;
  void report(const Error& error) override;

 private:
  App(AppOptions options, Host& host);
  FrameContext context(const Panel* panel = nullptr);
  void update_theme();
  void update_needs();
  void handle_keys();
  void check_goals();
  void draw_rail(ImVec2 min, ImVec2 size);
  void draw_top(ImVec2 min, ImVec2 size);
  void draw_centre(ImVec2 min, ImVec2 size);
  void draw_panel(const Panel& panel);
  void draw_unbuilt(ImVec2 min, ImVec2 size);
  void draw_lesson(ImVec2 min, ImVec2 size);
  void draw_lesson_strip(ImVec2 min, ImVec2 size);
  void draw_status(ImVec2 min, ImVec2 size);
  void draw_status_details();
  void draw_device_choice();
  void draw_loading(ImVec2 min, ImVec2 max);
  void draw_about();
  void keep_layout(ImGuiID dockspace, ImVec2 pos, ImVec2 size, bool narrow);
  std::string layout_key() const;  // under which the Document keeps the layout that is shown
  bool panel_open(const Panel& panel) const;
  bool lesson_open() const;

  AppOptions options_;
  Host& host_;
  Workbench bench_;
  Fonts fonts_;
  Theme theme_;
  TextureCache textures_;
  Memo memo_;
  Motion motion_;
  Notices notices_;
  Palette palette_;
  FileDialogs dialogs_;
  PromptBar prompt_;
  LessonPane lessons_;
  SessionFile session_;
  std::vector<Action> actions_;
  Hover hovered_, hover_;
  double now_ = 0, frame_seconds_ = 0;
  float monitor_scale_ = 1;
  struct ThemeChoice {  // what the theme was made for
    ThemeKind kind = ThemeKind::dark;
    float factor = 0;
    ProbabilityMap map = ProbabilityMap::glassbox;
    bool motion = true;
    bool operator==(const ThemeChoice&) const = default;
  };
  ThemeChoice themed_;
  bool about_ = false, about_opening_ = false, layout_stale_ = true, dragging_ = false;
  bool lesson_over_ = false;           // the lesson lies over the panels: there is no room beside them
  bool lesson_was_open_ = true;
  bool news_ = false;                  // taken by prepare(), not told by take_news() yet
  bool narrow_ = false;                // the centre has the panels one above the other
  std::string layout_name_;            // layout_key() of the layout that stands now
  std::string layout_text_;            // the saved layout that stands now
  ImVec2 layout_size_{0, 0};
  Layout layout_built_;                // as it was read back after it was built
  std::string status_detail_;          // which part of the status bar is explained
  float details_right_ = 0;            // where that ends; 0: there is nothing at the left
  uint64_t goals_checked_ = 0;         // the workbench's revision then
  double loading_since_ = 0, busy_since_ = 0;
  std::string title_;                  // of the window
  std::string document_path_;          // of the file that was opened or saved
  struct Capture {
    std::string path;
    ImVec2 min, max;
  };
  std::optional<Capture> capture_;
  int capture_wait_ = 0;               // frames until menus have gone
};

}  // namespace glassbox
