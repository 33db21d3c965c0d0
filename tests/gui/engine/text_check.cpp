#include "tests/gui/engine/text_check.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <set>
#include <unordered_map>
#include <utility>

#include "imgui_internal.h"

namespace glassbox::test {

namespace {

constexpr float kSlack = 1.5f;  // pixels of a letter's overhang that may be lost

// All letters of the atlas by the corner of their place in it.
class Letters {
 public:
  Letters() {
    const ImFontAtlas* atlas = ImGui::GetIO().Fonts;
    for (int i = 0; i < atlas->Builder->BakedPool.Size; ++i)
      for (const ImFontGlyph& glyph : atlas->Builder->BakedPool[i].Glyphs)
        if (glyph.Visible) by_corner_[key(glyph.U0, glyph.V0)] = &glyph;
  }
  const ImFontGlyph* find(const ImVec2& uv) const {
    const auto it = by_corner_.find(key(uv.x, uv.y));
    return it == by_corner_.end() ? nullptr : it->second;
  }

 private:
  static uint64_t key(float u, float v) {
    uint32_t a = 0, b = 0;
    std::memcpy(&a, &u, 4), std::memcpy(&b, &v, 4);
    return uint64_t{a} << 32 | b;
  }
  std::unordered_map<uint64_t, const ImFontGlyph*> by_corner_;
};

struct Glyph {
  ImVec2 min, max;      // its ink
  float pen, next;      // where it was set, and where the next one of the same text would be
  float scale;          // drawn size over the size in the atlas
  unsigned codepoint;
  float baseline;       // top of the line that it stands on
  size_t text;          // index into the report's texts
  bool turned;
};

// A glyph is a quad of its own with four corners of the atlas; shapes are drawn with its white pixel.
bool read_glyph(const Letters& letters, const ImDrawVert* v, Glyph& glyph) {
  if ((v[0].col >> 24) < 20 || !(v[0].uv.x < v[1].uv.x) || !(v[1].uv.y < v[2].uv.y)) return false;
  const ImFontGlyph* letter = letters.find(v[0].uv);
  if (!letter) return false;
  glyph = {};
  glyph.codepoint = letter->Codepoint;
  glyph.turned = v[0].pos.y != v[1].pos.y;
  if (glyph.turned) return true;
  glyph.min = v[0].pos, glyph.max = v[2].pos;
  glyph.scale = (glyph.max.y - glyph.min.y) / std::max(letter->Y1 - letter->Y0, 0.01f);
  glyph.pen = glyph.min.x - letter->X0 * glyph.scale;
  glyph.next = glyph.pen + letter->AdvanceX * glyph.scale;
  glyph.baseline = glyph.min.y - letter->Y0 * glyph.scale;
  return true;
}

void append(std::string& text, unsigned codepoint) {
  char utf8[5] = {};
  ImTextCharToUtf8(utf8, codepoint);
  text += utf8;
}

// Nothing of the window, nor of those that it lies in, can be scrolled along the axis.
bool stands_still(const ImGuiWindow* window, ImGuiAxis axis) {
  for (; window; window = window->ParentWindow) {
    if (window->ScrollMax[axis] > 0) return false;
    if (!(window->Flags & ImGuiWindowFlags_ChildWindow)) break;
  }
  return true;
}

}  // namespace

TextReport read_text(const ImDrawData& drawn) {
  TextReport report;
  const Letters letters;
  for (const ImDrawList* list : drawn.CmdLists) {
    const std::string owner = list->_OwnerName ? list->_OwnerName : "?";
    if (owner == "##Foreground") continue;  // the test engine draws its pointer here
    const ImGuiWindow* window = list->_OwnerName ? ImGui::FindWindowByName(list->_OwnerName) : nullptr;
    const bool still_x = stands_still(window, ImGuiAxis_X), still_y = stands_still(window, ImGuiAxis_Y);
    std::vector<Glyph> seen;
    Glyph last{};
    bool in_text = false;
    const auto fault = [&](const Glyph& glyph, const char* what) {
      char place[64];
      std::snprintf(place, sizeof place, " at %.0f, %.0f", static_cast<double>(glyph.min.x), static_cast<double>(glyph.min.y));
      report.faults.push_back(owner + place + ": \"" + report.texts[glyph.text].text + "\" " + what);
    };
    struct Cut {
      Glyph glyph;
      const char* what;
    };
    std::vector<Cut> cuts;  // told when the texts are complete
    for (const ImDrawCmd& command : list->CmdBuffer) {
      if (command.UserCallback || command.ElemCount == 0) continue;
      // Figures have textures of their own; letters come from the atlas.
      if (command.TexRef._TexData != ImGui::GetIO().Fonts->TexData) continue;
      for (unsigned int i = 0; i + 5 < command.ElemCount;) {
        const ImDrawIdx* index = list->IdxBuffer.Data + command.IdxOffset + i;
        const bool quad = index[1] == index[0] + 1 && index[2] == index[0] + 2 && index[3] == index[0] && index[4] == index[0] + 2 &&
                          index[5] == index[0] + 3;
        Glyph glyph{};
        if (!quad || !read_glyph(letters, list->VtxBuffer.Data + command.VtxOffset + index[0], glyph)) {
          i += 3, in_text = false;
          continue;
        }
        i += 6;
        if (glyph.turned) continue;
        const float size = glyph.max.y - glyph.min.y;
        // The same text goes on: the same line, and the pen where the letter before left it, or a few spaces on.
        const float gap = glyph.pen - last.next;
        const bool goes_on = in_text && std::abs(glyph.baseline - last.baseline) < 1 && gap > -1.5f && gap < 40 * glyph.scale;
        if (!goes_on) report.texts.push_back({owner, "", glyph.min, glyph.max, false});
        DrawnText& text = report.texts.back();
        if (goes_on && gap > 2) text.text += ' ';
        append(text.text, glyph.codepoint);
        text.min = {std::min(text.min.x, glyph.min.x), std::min(text.min.y, glyph.min.y)};
        text.max = {std::max(text.max.x, glyph.max.x), std::max(text.max.y, glyph.max.y)};
        glyph.text = report.texts.size() - 1;
        last = glyph, in_text = true;
        const ImVec4 clip = command.ClipRect;
        const bool beside = glyph.max.x <= clip.x || glyph.min.x >= clip.z, above = glyph.max.y <= clip.y || glyph.min.y >= clip.w;
        const bool off_x = glyph.min.x < clip.x - kSlack || glyph.max.x > clip.z + kSlack;
        const bool off_y = glyph.min.y < clip.y - kSlack || glyph.max.y > clip.w + kSlack;
        if (!beside && !above) text.visible = true;
        if (off_x && !above && still_x) cuts.push_back({glyph, "is cut off at the side"});
        else if (off_y && !beside && still_y && size > 3) cuts.push_back({glyph, "is cut off above or below"});
        else if (!beside && !above && !off_x && !off_y) seen.push_back(glyph);
      }
    }
    size_t told = SIZE_MAX;
    for (const Cut& cut : cuts)
      if (cut.glyph.text != told) told = cut.glyph.text, fault(cut.glyph, cut.what);
    // Letters of one word touch; letters of two texts overlap by a good part of the smaller.
    std::sort(seen.begin(), seen.end(), [](const Glyph& a, const Glyph& b) { return a.min.x < b.min.x; });
    std::set<std::pair<size_t, size_t>> told_pairs;
    for (size_t i = 0; i < seen.size(); ++i) {
      for (size_t j = i + 1; j < seen.size() && seen[j].min.x < seen[i].max.x; ++j) {
        const Glyph &a = seen[i], &b = seen[j];
        if (a.text == b.text || told_pairs.contains(std::minmax(a.text, b.text))) continue;
        const float width = std::min(a.max.x, b.max.x) - std::max(a.min.x, b.min.x);
        const float height = std::min(a.max.y, b.max.y) - std::max(a.min.y, b.min.y);
        if (width <= kSlack || height <= kSlack) continue;
        const float smaller = std::min((a.max.x - a.min.x) * (a.max.y - a.min.y), (b.max.x - b.min.x) * (b.max.y - b.min.y));
        if (width * height <= 0.25f * smaller) continue;
        told_pairs.insert(std::minmax(a.text, b.text));
        fault(a, ("overlaps \"" + report.texts[b.text].text + "\"").c_str());
      }
    }
  }
  return report;
}

}  // namespace glassbox::test
