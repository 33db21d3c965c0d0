#include "app/widgets/markdown.h"

#include <map>
#include <optional>
#include <vector>

#include "app/theme/font_files.h"
#include "core/base/files.h"
#include "rich_md.h"

namespace glassbox {

namespace {

constexpr float kTextSize = 15 * Theme::kLine;  // at 100 %
constexpr size_t kLargestFont = size_t{64} << 20;

// The names that the Markdown renderer asks for, and the files that the window's own text is set in.
std::string file_of(const std::string& asset) {
  static const std::map<std::string, std::vector<const char*>> names = {
      {"glassbox/Text-Regular.ttf", {"Inter-Regular.otf", "Inter-Regular.ttf"}},
      {"glassbox/Text-Bold.ttf", {"Inter-SemiBold.otf", "Inter-SemiBold.ttf"}},
      {"glassbox/Text-RegularItalic.ttf", {"Inter-Italic.otf", "Inter-Italic.ttf"}},
      {"glassbox/Text-BoldItalic.ttf", {"Inter-SemiBoldItalic.otf", "Inter-SemiBoldItalic.ttf"}},
      {"fonts/Inconsolata-Medium.ttf", {"JetBrainsMono-Regular.ttf", "JetBrainsMono-Regular.otf"}},
      {"glassbox/cjk", {"wqy-microhei.ttc", "NotoSansCJK-Regular.ttc", "wqy-zenhei.ttc"}},
      {"glassbox/symbols", {"Symbola_hint.ttf", "Symbola.ttf", "Symbola.otf"}},
  };
  const auto it = names.find(asset);
  return it == names.end() ? std::string() : find_font_file(it->second);
}

RichMd::AssetBytes read_asset(const std::string& asset) {
  if (const std::string path = file_of(asset); !path.empty()) {
    if (const Result<std::string> bytes = read_file(path, kLargestFont)) return RichMd::AssetBytes({bytes->begin(), bytes->end()});
  }
  // Without Inter its own Roboto stands in; a missing font must not end the program.
  const std::string base = "glassbox/Text";
  if (asset.starts_with(base)) return RichMd::ReadAssetDefault("fonts/Roboto/Roboto" + asset.substr(base.size()));
  return RichMd::ReadAssetDefault(asset);
}

std::optional<ImU32> meaning_colour(const Theme& theme, const std::string& name) {
  if (name == "query") return theme.query;
  if (name == "key") return theme.key;
  if (name == "value") return theme.value;
  if (name == "attention") return theme.attention;
  if (name == "mlp") return theme.mlp;
  if (name == "residual") return theme.residual;
  if (name == "logits") return theme.logits;
  if (name == "dim") return theme.dim;
  return std::nullopt;
}

}  // namespace

void Markdown::make() {
  RichMd::HostServices services;
  services.ReadAsset = read_asset;
  RichMd::SetHostServices(services);
  RichMd::MarkdownOptions options;
  options.withLatex = true;
  options.autolinks = false;
  options.fontOptions.fontBasePath = "glassbox/Text";
  options.fontOptions.regularSize = kTextSize;
  for (const char* merged : {"glassbox/cjk", "glassbox/symbols"})
    if (!file_of(merged).empty()) options.fontOptions.mergeFonts.push_back(merged);
  options.callbacks.OnOpenLink = [this](const std::string& link) {
    if (on_link) on_link(link);
  };
  // <query>q</query>, <key>k</key> and so on: a word in the colour that its meaning has everywhere.
  options.callbacks.OnHtmlSpan = [this](const std::string& tag, bool opening) {
    const std::optional<ImU32> meaning = meaning_colour(theme_, tag);
    if (!meaning) return false;
    if (opening) ImGui::PushStyleColor(ImGuiCol_Text, *meaning);
    else ImGui::PopStyleColor();
    return true;
  };
  context_ = RichMd::CreateContext(options);
}

void Markdown::draw(const Theme& theme, const std::string& text, ImU32 colour) {
  if (text.empty()) return;
  theme_ = theme;
  if (!context_) make();
  RichMd::SetCurrentContext(static_cast<RichMd::Context*>(context_));
  RichMd::Style& style = RichMd::GetStyle();
  style.linkColor = ImGui::ColorConvertU32ToFloat4(theme.accent);
  style.codeColor = ImGui::ColorConvertU32ToFloat4(colour ? colour : theme.text);
  style.linkTooltip = false;
  style.blockGap = 0.38f;
  // The renderer's sizes follow the pushed one in relation to the style's, which already holds the scale once.
  ImGui::PushFont(nullptr, theme.body.size * theme.scale);
  ImGui::PushStyleColor(ImGuiCol_Text, colour ? colour : theme.text);
  ImGui::PushStyleVar(ImGuiStyleVar_ItemSpacing, ImVec2(theme.px(4), theme.px(5)));
  RichMd::RenderRaw(text);
  ImGui::PopStyleVar();
  ImGui::PopStyleColor();
  ImGui::PopFont();
}

void Markdown::release() {
  if (context_) RichMd::DestroyContext(static_cast<RichMd::Context*>(context_));
  context_ = nullptr;
}

}  // namespace glassbox
