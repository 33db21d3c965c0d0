#include "app/theme/theme.h"

#include <algorithm>
#include <cmath>

#include "implot.h"

namespace glassbox {

namespace {

void set_dark(Theme& t) {
  t.background = rgb(0x14161A), t.surface = rgb(0x1B1E24), t.raised = rgb(0x23272F);
  t.line = rgb(0x323844), t.text = rgb(0xE6E8EB), t.dim = rgb(0x9AA3AF), t.faint = rgb(0x5B6370);
  t.accent = rgb(0x5AA9E6), t.ok = rgb(0x62B58F), t.warn = rgb(0xE0A458), t.error = rgb(0xF0788C);
  t.on_accent = rgb(0x0B1722);
  t.hover = rgb(0x2B303A), t.pressed = rgb(0x343A46), t.selected = rgb(0x24384C);
  t.well = rgb(0x131519), t.shadow = rgb(0x000000, 110), t.ring = rgb(0xF4F6F8), t.bar = rgb(0x6F9FA5);
  constexpr uint32_t kChips[6] = {0x284A6C, 0x5E4216, 0x245337, 0x683738, 0x503D66, 0x005353};
  for (int i = 0; i < 6; ++i) t.chip[i] = rgb(kChips[i]);
  t.query = rgb(0x498FEE), t.key = rgb(0xFEA346), t.value = rgb(0x3BD49D), t.attention = rgb(0xC3B4FF);
  t.mlp = rgb(0xAF8398), t.residual = rgb(0xEFF067), t.logits = rgb(0xA7F5FE);
  t.negative = rgb(0xF2A14B), t.positive = rgb(0x58A8EC);
  t.attention_map = make_sequential_map(t.surface, rgb(0x7560D6), rgb(0xF6F3FF));
  t.probability_map = make_sequential_map(t.surface, rgb(0x57888F), rgb(0xA7F5FE));
  t.signed_map = make_diverging_map(rgb(0xFDB45E), t.surface, rgb(0x64B4FA));
}

void set_light(Theme& t) {
  t.background = rgb(0xF3F5F7), t.surface = rgb(0xFFFFFF), t.raised = rgb(0xF9FAFB);
  t.line = rgb(0xD9DEE5), t.text = rgb(0x1B1F24), t.dim = rgb(0x59636F), t.faint = rgb(0xA3ABB5);
  t.accent = rgb(0x1B6CA8), t.ok = rgb(0x1E7A52), t.warn = rgb(0x8A5A00), t.error = rgb(0xB3263E);
  t.on_accent = rgb(0xFFFFFF);
  t.hover = rgb(0xEEF1F4), t.pressed = rgb(0xE2E7EC), t.selected = rgb(0xD5E3F0);
  t.well = rgb(0xF3F4F6), t.shadow = rgb(0x1B1F24, 40), t.ring = rgb(0x101418), t.bar = rgb(0x5D8A92);
  constexpr uint32_t kChips[6] = {0xC3E2FF, 0xF4DAB6, 0xC2E9CE, 0xFFD0CF, 0xE6D5FC, 0xB4EAE9};
  for (int i = 0; i < 6; ++i) t.chip[i] = rgb(kChips[i]);
  t.query = rgb(0x3667C7), t.key = rgb(0x7F3B1B), t.value = rgb(0x093302), t.attention = rgb(0x55197D);
  t.mlp = rgb(0xAF4788), t.residual = rgb(0x7B7005), t.logits = rgb(0x1E4F59);
  t.negative = rgb(0x8F4413), t.positive = rgb(0x14528F);
  t.attention_map = make_sequential_map(t.surface, rgb(0x8E55C8), rgb(0x2C0A4A));
  t.probability_map = make_sequential_map(t.surface, rgb(0x5F98A3), rgb(0x123A43));
  t.signed_map = make_diverging_map(rgb(0x8F4413), t.surface, rgb(0x14528F));
}

ImVec4 vec(ImU32 colour) { return ImGui::ColorConvertU32ToFloat4(colour); }

}  // namespace

float Theme::px(float at_100) const { return std::round(at_100 * scale); }
float Theme::hairline() const { return std::max(1.0f, std::floor(scale)); }

bool Theme::has_glyph(uint32_t codepoint) const {
  return mono.font && mono.font->IsGlyphInFont(static_cast<ImWchar>(codepoint));
}

Theme make_theme(ThemeKind kind, float factor, ProbabilityMap map, bool motion, const Fonts& fonts) {
  Theme theme{};
  theme.kind = kind;
  theme.scale = std::clamp(factor, 0.8f, 5.0f);
  theme.motion = motion;
  if (kind == ThemeKind::dark) set_dark(theme);
  else set_light(theme);
  if (map == ProbabilityMap::viridis) theme.attention_map = theme.probability_map = make_viridis_map();
  if (map == ProbabilityMap::cividis) theme.attention_map = theme.probability_map = make_cividis_map();
  // VISUAL.md gives sizes of the em, as everyone writes them. Dear ImGui's size is that of a line, ascent to descent:
  // 1.21 em in Inter and 1.32 em in JetBrains Mono. Whole pixels, so that glyphs land on the same grid in every line.
  const auto style = [&](ImFont* font, float em_at_100) {
    const bool mono = font == fonts.mono || font == fonts.mono_bold;
    return TextStyle{font, theme.px(em_at_100 * (font == fonts.icons ? 1.0f : mono ? 1.32f : Theme::kLine))};
  };
  theme.body = style(fonts.text, 14), theme.bold = style(fonts.text_bold, 14), theme.italic = style(fonts.text_italic, 14);
  theme.small = style(fonts.text, 13), theme.small_bold = style(fonts.text_bold, 13);
  theme.title = style(fonts.text_bold, 20), theme.heading = style(fonts.text_bold, 17);
  theme.mono = style(fonts.mono, 14), theme.mono_bold = style(fonts.mono_bold, 14);
  theme.mono_small = style(fonts.mono, 12), theme.mono_large = style(fonts.mono, 17);
  theme.icon = style(fonts.icons, 15);
  return theme;
}

void apply_style(const Theme& t) {
  ImGuiStyle style;
  style.FontSizeBase = t.body.size;
  style.FontScaleMain = 1.0f;
  style.WindowPadding = {t.px(12), t.px(12)};
  style.WindowRounding = t.px(6), style.ChildRounding = 0, style.PopupRounding = t.px(6);
  style.FrameRounding = t.px(6), style.GrabRounding = t.px(6), style.ScrollbarRounding = t.px(4);
  style.TabRounding = t.px(4);
  style.WindowBorderSize = style.PopupBorderSize = style.FrameBorderSize = t.hairline();
  style.ChildBorderSize = t.hairline();
  style.FramePadding = {t.px(8), t.px(5)};
  style.ItemSpacing = {t.px(8), t.px(8)}, style.ItemInnerSpacing = {t.px(6), t.px(4)};
  style.IndentSpacing = t.px(16);
  style.ScrollbarSize = t.px(10), style.GrabMinSize = t.px(16);
  style.DockingSeparatorSize = t.px(Theme::kGap);
  style.TabBarBorderSize = 0, style.TabBorderSize = 0, style.TabBarOverlineSize = t.px(2);
  style.SeparatorTextBorderSize = t.hairline();
  style.WindowMinSize = {t.px(80), t.px(60)};
  style.DisabledAlpha = 0.45f;
  style.HoverStationaryDelay = 0.05f, style.HoverDelayShort = 0.10f, style.HoverDelayNormal = 0.30f;
  style.AntiAliasedLines = style.AntiAliasedFill = true;
  style.CircleTessellationMaxError = 0.15f;

  ImVec4* c = style.Colors;
  const ImVec4 clear(0, 0, 0, 0);
  c[ImGuiCol_Text] = vec(t.text), c[ImGuiCol_TextDisabled] = vec(t.dim);
  c[ImGuiCol_WindowBg] = vec(t.surface), c[ImGuiCol_ChildBg] = clear, c[ImGuiCol_PopupBg] = vec(t.raised);
  c[ImGuiCol_Border] = vec(t.line), c[ImGuiCol_BorderShadow] = clear;
  c[ImGuiCol_FrameBg] = vec(t.well), c[ImGuiCol_FrameBgHovered] = vec(t.hover), c[ImGuiCol_FrameBgActive] = vec(t.well);
  c[ImGuiCol_TitleBg] = c[ImGuiCol_TitleBgActive] = c[ImGuiCol_TitleBgCollapsed] = vec(t.surface);
  c[ImGuiCol_MenuBarBg] = vec(t.surface);
  c[ImGuiCol_ScrollbarBg] = clear;
  c[ImGuiCol_ScrollbarGrab] = vec(with_alpha(t.dim, 0.30f));
  c[ImGuiCol_ScrollbarGrabHovered] = vec(with_alpha(t.dim, 0.50f));
  c[ImGuiCol_ScrollbarGrabActive] = vec(with_alpha(t.dim, 0.70f));
  c[ImGuiCol_CheckMark] = vec(t.accent), c[ImGuiCol_SliderGrab] = vec(t.text), c[ImGuiCol_SliderGrabActive] = vec(t.text);
  c[ImGuiCol_Button] = vec(t.raised), c[ImGuiCol_ButtonHovered] = vec(t.hover), c[ImGuiCol_ButtonActive] = vec(t.pressed);
  c[ImGuiCol_Header] = vec(t.selected), c[ImGuiCol_HeaderHovered] = vec(t.hover), c[ImGuiCol_HeaderActive] = vec(t.pressed);
  c[ImGuiCol_Separator] = vec(t.line);
  // Between docked panels lies a gap, not a line; it lights up under the pointer.
  c[ImGuiCol_SeparatorHovered] = vec(with_alpha(t.accent, 0.55f)), c[ImGuiCol_SeparatorActive] = vec(t.accent);
  c[ImGuiCol_ResizeGrip] = clear, c[ImGuiCol_ResizeGripHovered] = vec(with_alpha(t.accent, 0.5f));
  c[ImGuiCol_ResizeGripActive] = vec(t.accent);
  c[ImGuiCol_Tab] = vec(t.background), c[ImGuiCol_TabHovered] = vec(t.hover), c[ImGuiCol_TabSelected] = vec(t.surface);
  c[ImGuiCol_TabSelectedOverline] = vec(t.accent), c[ImGuiCol_TabDimmed] = vec(t.background);
  c[ImGuiCol_TabDimmedSelected] = vec(t.surface), c[ImGuiCol_TabDimmedSelectedOverline] = vec(t.line);
  c[ImGuiCol_DockingPreview] = vec(with_alpha(t.accent, 0.45f)), c[ImGuiCol_DockingEmptyBg] = vec(t.background);
  c[ImGuiCol_TableHeaderBg] = vec(t.raised), c[ImGuiCol_TableBorderStrong] = vec(t.line);
  c[ImGuiCol_TableBorderLight] = vec(t.line), c[ImGuiCol_TableRowBg] = clear, c[ImGuiCol_TableRowBgAlt] = clear;
  c[ImGuiCol_TextSelectedBg] = vec(with_alpha(t.accent, 0.35f)), c[ImGuiCol_DragDropTarget] = vec(t.accent);
  c[ImGuiCol_NavCursor] = vec(t.accent), c[ImGuiCol_TextLink] = vec(t.accent), c[ImGuiCol_InputTextCursor] = vec(t.accent);
  c[ImGuiCol_ModalWindowDimBg] = vec(with_alpha(t.background, 0.6f));
  ImGui::GetStyle() = style;

  if (!ImPlot::GetCurrentContext()) return;
  ImPlotStyle& plot = ImPlot::GetStyle();
  plot.PlotBorderSize = 0, plot.PlotPadding = {t.px(8), t.px(8)}, plot.LabelPadding = {t.px(6), t.px(4)};
  plot.MousePosPadding = {t.px(8), t.px(8)}, plot.MinorAlpha = 0.25f;
  plot.Colors[ImPlotCol_FrameBg] = clear, plot.Colors[ImPlotCol_PlotBg] = clear;
  plot.Colors[ImPlotCol_AxisText] = vec(t.dim), plot.Colors[ImPlotCol_AxisGrid] = vec(t.line);
}

}  // namespace glassbox
