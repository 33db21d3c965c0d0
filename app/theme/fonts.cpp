// Finding and loading the fonts. They are packages of the system (fonts-inter, fonts-jetbrains-mono, …), looked up by
// file name in the folders where systems and users keep fonts.
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "app/theme/font_files.h"
#include "app/theme/theme.h"
#include "glassbox_icons.h"
#include "imgui_freetype.h"

namespace glassbox {

namespace {

namespace fs = std::filesystem;

using FontFiles = std::map<std::string, std::string>;  // file name → path

void collect_fonts(const fs::path& folder, FontFiles& found) {
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, fs::directory_options::skip_permission_denied, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    const fs::path& path = entry->path();
    const std::string ending = path.extension().string();
    if (ending == ".ttf" || ending == ".otf" || ending == ".ttc") found.emplace(path.filename().string(), path.string());
  }
}

FontFiles find_fonts() {
  FontFiles found;
  if (const char* home = std::getenv("HOME")) {
    collect_fonts(fs::path(home) / ".local/share/fonts", found);
    collect_fonts(fs::path(home) / ".fonts", found);
  }
  if (const char* data = std::getenv("XDG_DATA_HOME")) collect_fonts(fs::path(data) / "fonts", found);
  collect_fonts("/usr/local/share/fonts", found);
  collect_fonts("/usr/share/fonts", found);
  return found;
}

ImFont* add_font(const std::string& path, bool merge) {
  ImFontConfig config;
  config.MergeMode = merge;
  config.FontLoaderFlags = ImGuiFreeTypeLoaderFlags_LightHinting;
  config.Flags |= ImFontFlags_NoLoadError;
  return ImGui::GetIO().Fonts->AddFontFromFileTTF(path.c_str(), 0.0f, &config);
}

struct Wanted {
  ImFont* Fonts::*slot;
  std::vector<const char*> names;
  const char* package;
};

}  // namespace

std::string find_font_file(const std::vector<const char*>& names) {
  static const FontFiles files = find_fonts();
  for (const char* name : names)
    if (const auto it = files.find(name); it != files.end()) return it->second;
  return {};
}

Result<Fonts> load_fonts() {
  // Behind every font: Chinese, Japanese and Korean, then symbols and emoji. Without them such characters are shown as
  // bytes, so they are wished for but not required.
  const std::string fallbacks[] = {
      find_font_file({"wqy-microhei.ttc", "NotoSansCJK-Regular.ttc", "wqy-zenhei.ttc"}),
      find_font_file({"Symbola_hint.ttf", "Symbola.ttf", "Symbola.otf", "NotoSansSymbols2-Regular.ttf"}),
      find_font_file({"DejaVuSans.ttf"}),
  };
  const Wanted wanted[] = {
      {&Fonts::text, {"Inter-Regular.otf", "Inter-Regular.ttf"}, "fonts-inter"},
      {&Fonts::text_bold, {"Inter-SemiBold.otf", "Inter-SemiBold.ttf"}, "fonts-inter"},
      {&Fonts::text_italic, {"Inter-Italic.otf", "Inter-Italic.ttf"}, "fonts-inter"},
      {&Fonts::mono, {"JetBrainsMono-Regular.ttf", "JetBrainsMono-Regular.otf"}, "fonts-jetbrains-mono"},
      {&Fonts::mono_bold, {"JetBrainsMono-Bold.ttf", "JetBrainsMono-Bold.otf"}, "fonts-jetbrains-mono"},
  };
  Fonts fonts;
  for (const Wanted& want : wanted) {
    const std::string path = find_font_file(want.names);
    ImFont* font = path.empty() ? nullptr : add_font(path, false);
    if (!font) {
      return Error{ErrorKind::failed, std::string("the font file ") + want.names.front() + " was not found or not read",
                   !path.empty() ? path : "/usr/share/fonts, /usr/local/share/fonts, ~/.local/share/fonts, ~/.fonts", "",
                   std::string("install the package ") + want.package + " (apt-get install " + want.package +
                       "), or run app/run, which does"};
    }
    for (const std::string& fallback : fallbacks)
      if (!fallback.empty()) add_font(fallback, true);
    // In the text field, which cannot show bytes, a letter that no font has must not look like a question mark.
    constexpr ImWchar kNoLetter = 0x25AF;
    if (font->IsGlyphInFont(kNoLetter)) font->FallbackChar = kNoLetter;
    fonts.*want.slot = font;
  }
  ImFontConfig icons;
  icons.FontDataOwnedByAtlas = false;
  const auto size = static_cast<int>(glassbox_font_awesome_end - glassbox_font_awesome_begin);
  // The atlas only reads from memory that it does not own; its interface predates const.
  fonts.icons = ImGui::GetIO().Fonts->AddFontFromMemoryTTF(const_cast<unsigned char*>(glassbox_font_awesome_begin), size,
                                                           0.0f, &icons);
  return fonts;
}

}  // namespace glassbox
