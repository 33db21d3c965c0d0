#include "app/shell/file_dialogs.h"

#include <algorithm>
#include <cmath>

#include "app/widgets/controls.h"
#include "app/widgets/token_text.h"
#include "imgui_stdlib.h"
#include "portable_file_dialogs.h"

namespace glassbox {

struct FileDialogs::Native {
  std::unique_ptr<pfd::open_file> open;
  std::unique_ptr<pfd::save_file> save;
};

FileDialogs::FileDialogs() = default;
FileDialogs::~FileDialogs() {
  // A dialog that is still open must not hold up the program's end.
  if (native_ && native_->open) native_->open->kill();
  if (native_ && native_->save) native_->save->kill();
}

bool FileDialogs::waiting() const { return native_ != nullptr; }

void FileDialogs::ask(FileQuestion question, const std::string& title, const std::string& start,
                      const std::vector<std::string>& filters, std::function<void(const std::string&)> answer) {
  if (native_) return;  // one at a time
  answer_ = std::move(answer);
  saving_ = question == FileQuestion::save;
  if (!typed_only_ && pfd::settings::available()) {
    native_ = std::make_unique<Native>();
    if (saving_) native_->save = std::make_unique<pfd::save_file>(title, start, filters);
    else native_->open = std::make_unique<pfd::open_file>(title, start, filters);
    return;
  }
  title_ = title, path_ = start;
  opening_ = typed_ = true;
}

void FileDialogs::draw(const Theme& theme, ImVec2 min, ImVec2 max) {
  if (native_) {
    std::string chosen;
    if (native_->open && native_->open->ready(0)) {
      const std::vector<std::string> paths = native_->open->result();
      if (!paths.empty()) chosen = paths.front();
    } else if (native_->save && native_->save->ready(0)) {
      chosen = native_->save->result();
    } else {
      return;
    }
    native_.reset();
    if (!chosen.empty()) answer_(chosen);
    return;
  }
  if (!typed_) return;
  if (opening_) ImGui::OpenPopup("path"), opening_ = false;
  const float width = std::min(theme.px(640), max.x - min.x - theme.px(40));
  ImGui::SetNextWindowPos({(min.x + max.x - width) / 2, min.y + theme.px(120)});
  ImGui::SetNextWindowSize({width, 0});
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(theme.px(16), theme.px(14)));
  ImGui::PushFont(theme.body.font, theme.body.size);
  if (ImGui::BeginPopup("path", ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoDocking)) {
    text_line(theme.heading, theme.text, title_);
    ImGui::SetNextItemWidth(-1);
    if (ImGui::IsWindowAppearing()) ImGui::SetKeyboardFocusHere();
    const bool entered = ImGui::InputTextWithHint("##path", "path of the file", &path_, ImGuiInputTextFlags_EnterReturnsTrue);
    const bool chosen = small_button(theme, saving_ ? "Save" : "Open", {.enabled = !path_.empty(), .primary = true, .width = theme.px(90), .height = theme.px(28)});
    ImGui::SameLine();
    const bool cancelled = small_button(theme, "Cancel", {.width = theme.px(90), .height = theme.px(28)});
    if (((entered || chosen) && !path_.empty()) || cancelled) {
      ImGui::CloseCurrentPopup();
      typed_ = false;
      if (!cancelled) answer_(path_);
    }
    ImGui::EndPopup();
  } else {
    typed_ = false;
  }
  ImGui::PopFont();
  ImGui::PopStyleVar();
}

}  // namespace glassbox
