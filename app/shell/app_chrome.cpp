// What stands around the panels: the rail of stages, the status bar, loading and About.
#include <algorithm>
#include <cmath>
#include <span>

#include <nlohmann/json.hpp>

#include "app/shell/app.h"
#include "app/shell/icons.h"
#include "app/widgets/controls.h"
#include "app/widgets/numbers.h"
#include "app/widgets/token_text.h"
#include "core/model/model.h"
#include "imgui_internal.h"

namespace glassbox {

extern const char* const kLicences;  // assets/licences/parts.json, put in by the build

namespace {

constexpr ImGuiWindowFlags kBarFlags = ImGuiWindowFlags_NoDecoration | ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoSavedSettings |
                                       ImGuiWindowFlags_NoDocking | ImGuiWindowFlags_NoBringToFrontOnFocus;
constexpr double kSilentSeconds = 0.2;  // what is done sooner shows no progress

struct RailStage {
  const char* name;
  bool built;
};
constexpr RailStage kRailStages[] = {{"Tokens", true},  {"Embed", true},     {"Attention", true}, {"Training", false},
                                 {"Tuning", false}, {"Inference", true}, {"Agents", false},   {"Evals", false}};

void begin_bar(const Theme& theme, const char* name, ImVec2 min, ImVec2 size) {
  ImGui::SetNextWindowPos(min);
  ImGui::SetNextWindowSize(size);
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(0, 0));
  ImGui::PushStyleVar(ImGuiStyleVar_WindowBorderSize, 0.0f);
  ImGui::PushStyleVar(ImGuiStyleVar_WindowRounding, 0.0f);
  ImGui::PushStyleVar(ImGuiStyleVar_WindowMinSize, ImVec2(1, 1));  // the least size of panels is more than a bar's
  ImGui::PushStyleColor(ImGuiCol_WindowBg, theme.surface);
  ImGui::Begin(name, nullptr, kBarFlags);
  ImGui::PopStyleColor();
  ImGui::PopStyleVar(4);
}

}  // namespace

void App::draw_rail(ImVec2 min, ImVec2 size) {
  begin_bar(theme_, "rail", min, size);
  ImDrawList* draw = ImGui::GetWindowDrawList();
  draw->AddRectFilled({min.x + size.x - theme_.hairline(), min.y}, {min.x + size.x, min.y + size.y}, theme_.line);
  // Eight of them always fit: in a low window they stand closer.
  const float height = std::min(theme_.px(76), std::floor(size.y / 8));
  const bool roomy = height >= theme_.px(62);
  for (int stage = 1; stage <= 8; ++stage) {
    const RailStage& entry = kRailStages[stage - 1];
    const ImVec2 low(min.x, min.y + height * static_cast<float>(stage - 1)), high(min.x + size.x - theme_.hairline(), low.y + height);
    ImGui::SetCursorScreenPos(low);
    if (press_area(entry.name, {high.x - low.x, height})) run(cmd::SetStage{stage});
    const bool chosen = document().stage == stage, hovered = ImGui::IsItemHovered();
    if (chosen) {
      draw->AddRectFilled(low, high, theme_.raised);
      draw->AddRectFilled(low, {low.x + theme_.px(3), high.y}, theme_.accent);
    } else if (hovered) {
      draw->AddRectFilled(low, high, with_alpha(theme_.raised, 0.6f));
    }
    if (ImGui::IsItemFocused() && ImGui::GetIO().NavVisible)
      draw->AddRect({low.x + theme_.px(4), low.y + theme_.px(2)}, {high.x - theme_.px(4), high.y - theme_.px(2)}, theme_.accent, theme_.px(6), 0, theme_.px(2));
    const ImU32 colour = !entry.built ? theme_.faint : chosen ? theme_.text : theme_.dim;
    const float middle = (low.x + high.x) / 2;
    const float icon_y = low.y + (roomy ? theme_.px(23) : height * 0.36f);
    draw_icon(draw, stage_icon(stage), {middle, icon_y}, theme_.px(roomy ? 24 : 18), colour, std::max(1.0f, theme_.scale * 1.6f));
    // Twelve, and eleven below: with thirteen the longest name would touch both edges.
    const TextStyle label{theme_.small.font, theme_.px(12 * Theme::kLine)};
    const std::string name = fit_text(label, entry.name, high.x - low.x - theme_.px(4));
    const float name_y = roomy ? low.y + theme_.px(39) : low.y + height * 0.56f;
    draw_text(draw, label, {middle - text_size(label, name).x / 2, name_y}, colour, name);
    const LessonPane::Progress progress = lessons_.progress(document(), stage);
    if (roomy && entry.built && progress.total > 0) {
      const float width = theme_.px(28), y = low.y + theme_.px(63), thick = theme_.px(3);
      const float done = width * static_cast<float>(progress.reached) / static_cast<float>(progress.total);
      draw->AddRectFilled({middle - width / 2, y}, {middle + width / 2, y + thick}, theme_.line, thick / 2);
      if (done > 0) draw->AddRectFilled({middle - width / 2, y}, {middle - width / 2 + done, y + thick}, theme_.ok, thick / 2);
    } else if (roomy && !entry.built) {
      const TextStyle tiny{theme_.small.font, theme_.px(11 * Theme::kLine)};
      draw_text(draw, tiny, {middle - text_size(tiny, "not built").x / 2, low.y + theme_.px(58)}, colour, "not built");
    }
    std::string hint = std::to_string(stage) + " · " + std::string(stage_title(stage));
    if (!entry.built) hint += ": not built yet";
    else if (progress.total > 0) hint += ": " + std::to_string(progress.reached) + " of " + std::to_string(progress.total) + " goals reached";
    tooltip(theme_, hint + " (Ctrl+" + std::to_string(stage) + ")");
  }
  ImGui::End();
}

// Where the lesson waits while it is hidden, or while there is no room for it beside the panels.
void App::draw_lesson_strip(ImVec2 min, ImVec2 size) {
  begin_bar(theme_, "lesson strip", min, size);
  ImDrawList* draw = ImGui::GetWindowDrawList();
  draw->AddRectFilled(min, {min.x + theme_.hairline(), min.y + size.y}, theme_.line);
  ImGui::SetCursorScreenPos({min.x + (size.x - theme_.px(28)) / 2, min.y + theme_.px(8)});
  const Lesson* lesson = lessons_.shown(document());
  const std::string title = lesson ? lesson->title : std::string("no lesson for this stage yet");
  if (icon_button(theme_, "show lesson", Icon::book, {.quiet = true, .active = lesson_over_, .hint = "Lesson: " + title})) {
    if (!lesson_open()) run(cmd::ShowPanel{"lesson", true});
    else lesson_over_ = !lesson_over_;
  }
  const LessonPane::Progress progress = lessons_.progress(document(), document().stage);
  if (progress.total > 0) {
    const std::string count = std::to_string(progress.reached) + "/" + std::to_string(progress.total);
    draw_text(draw, theme_.small, {min.x + (size.x - text_size(theme_.small, count).x) / 2, min.y + theme_.px(40)}, theme_.dim, count);
  }
  ImGui::End();
}

void App::draw_status(ImVec2 min, ImVec2 size) {
  begin_bar(theme_, "status", min, size);
  ImDrawList* draw = ImGui::GetWindowDrawList();
  draw->AddRectFilled(min, {min.x + size.x, min.y + theme_.hairline()}, theme_.line);
  const std::shared_ptr<const Model> model = bench_.model();
  const EngineStatus engine = bench_.status();
  const ImFontBaked* baked = theme_.small.font->GetFontBaked(theme_.small.size);
  const float y = std::round(min.y + (size.y - baked->Ascent + baked->Descent) / 2);
  // Label and value stand on one line.
  const float value_y = y + std::round(baked->Ascent - theme_.mono_small.font->GetFontBaked(theme_.mono_small.size)->Ascent);
  const float gap = theme_.px(20);
  float left = min.x + theme_.px(12), right = min.x + size.x - theme_.px(10);

  struct Part {
    const char* id;
    std::string label, value;
    const char* hint;
    bool strong = false;
  };
  const auto width_of = [&](const Part& part) {
    float width = text_size(part.strong ? theme_.small_bold : theme_.small, part.label).x;
    if (!part.value.empty()) width += theme_.px(6) + text_size(theme_.mono_small, part.value).x;
    return std::ceil(width);
  };
  const auto put = [&](const Part& part, float x) {
    const float width = width_of(part);
    ImGui::SetCursorScreenPos({x - theme_.px(5), min.y + theme_.hairline()});
    if (press_area(part.id, {width + theme_.px(10), size.y - theme_.hairline()})) status_detail_ = status_detail_ == part.id ? "" : part.id;
    const bool lit = ImGui::IsItemHovered() || item_focused();
    if (lit) draw->AddRectFilled(ImGui::GetItemRectMin(), ImGui::GetItemRectMax(), theme_.hover);
    draw_text(draw, part.strong ? theme_.small_bold : theme_.small, {x, y}, part.strong ? theme_.text : theme_.dim, part.label);
    if (!part.value.empty())
      draw_text(draw, theme_.mono_small, {x + width - text_size(theme_.mono_small, part.value).x, value_y}, theme_.text, part.value);
    if (status_detail_.empty()) tooltip(theme_, part.hint);
    return width;
  };

  // Right to left: the key hint, then speeds; what does not fit is left out, the least telling first.
  const char* key = "Ctrl P";
  const float key_width = text_size(theme_.small, key).x + theme_.px(12);
  right -= key_width;
  ImGui::SetCursorScreenPos({right, min.y + theme_.px(3)});
  if (press_area("palette", {key_width, theme_.px(20)})) palette_.open();
  if (ImGui::IsItemHovered()) draw->AddRectFilled(ImGui::GetItemRectMin(), ImGui::GetItemRectMax(), theme_.hover, theme_.px(4));
  tooltip(theme_, "All commands (Ctrl+P)");
  draw_key(draw, theme_, {right, min.y + (size.y - theme_.px(19)) / 2}, key);
  right -= gap;

  std::vector<Part> parts;
  parts.push_back({"model", model ? (model->name().empty() ? "model" : model->name()) + " " + model->format() : bench_.loading() ? "loading a model" : "no model", "",
                   "The model, and the format of most of its weights. Click for more.", true});
  const std::string precision = options_.bench.precision == Precision::exact ? "exact" : "fast";
  if (model) {
    parts.push_back({"device", bench_.kernel_path() + " · " + precision, "", "The backend, its instructions and threads, and the precision. Click for more."});
    parts.push_back({"weights", "weights", format_bytes(model->weight_bytes()), "Memory that the weights take."});
    parts.push_back({"kv", "KV", format_bytes(engine.kv_bytes), "Memory of the keys and values that are kept of the lines used lately."});
    parts.push_back({"pages", "pages", format_bytes(engine.page_bytes), "Memory of the pages: what was captured for the panels."});
  }
  const Part speeds[] = {{"frame", "frame", format_fixed(frame_seconds_ * 1e3, 1) + " ms", "Work of this thread for one frame."},
                         {"decode", "decode", format_rate(engine.decode_rate), "Tokens a second, one after the other."},
                         {"prefill", "prefill", format_rate(engine.prefill_rate), "Tokens a second when a text is read."}};
  // The place is kept for the longest figure, so that the others do not move when one changes.
  const auto place_of = [&](const Part& part) {
    return std::max(width_of(part), text_size(theme_.small, part.label).x + theme_.px(6) + text_size(theme_.mono_small, part.id == std::string("frame") ? "99.9 ms" : "9 999 tok/s").x);
  };
  const auto all_fits = [&](std::span<const Part> right_parts) {
    float total = 0;
    for (const Part& part : parts) total += width_of(part) + gap;
    for (const Part& part : right_parts) total += place_of(part) + gap;
    return total <= right - left + gap;
  };
  // Where there is no room for all: the backend without its instructions and the memory as one figure, then no work of a frame.
  std::span<const Part> shown = speeds;
  if (model && !all_fits(shown)) {
    parts.resize(parts.size() - 3);
    parts.back().label = bench_.kernel_path().substr(0, bench_.kernel_path().find(' ')) + " · " + precision;
    parts.push_back({"memory", "memory", format_bytes(model->weight_bytes() + engine.kv_bytes + engine.page_bytes),
                     "Memory of the weights, the keys and values that are kept, and what was captured for the panels. Click for each."});
    if (!all_fits(shown)) shown = shown.subspan(1);
  }
  float needed = 0;
  for (const Part& part : parts) needed += width_of(part) + gap;
  for (const Part& part : shown) {
    const float width = place_of(part);
    if (right - width < left + std::min(needed, size.x * 0.5f)) break;
    right -= width;
    put(part, right + width - width_of(part));
    right -= gap;
  }
  for (const Part& part : parts) {
    if (left + width_of(part) > right) break;
    left += put(part, left) + gap;
  }
  // Work that takes longer than a blink: how far, and a way to stop it.
  if (busy_since_ > 0 && now_ - busy_since_ > kSilentSeconds && left + theme_.px(220) < right) {
    const std::string text = "computing";
    draw_text(draw, theme_.small, {left, y}, theme_.accent, text);
    left += text_size(theme_.small, text).x + theme_.px(8);
    const float middle = min.y + size.y / 2, bar = theme_.px(80);
    draw->AddRectFilled({left, middle - theme_.px(2)}, {left + bar, middle + theme_.px(2)}, theme_.line, theme_.px(2));
    draw->AddRectFilled({left, middle - theme_.px(2)}, {left + bar * std::clamp(engine.progress, 0.0f, 1.0f), middle + theme_.px(2)}, theme_.accent, theme_.px(2));
    ImGui::SetCursorScreenPos({left + bar + theme_.px(8), min.y + theme_.px(3)});
    if (small_button(theme_, "Cancel", {.quiet = true, .height = theme_.px(20)})) bench_.cancel();
  }
  ImGui::End();
  draw_status_details();
}

// Buttons for the program's own choice, the CPU and the GPUs that were found; what is known of each beside it.
void App::draw_device_choice() {
  bench_.look_for_gpus();
  const CudaDevices& gpus = bench_.gpus();
  const float height = theme_.px(28);
  const auto choice = [&](const std::string& label, const DeviceChoice& device) {
    if (small_button(theme_, label.c_str(), {.active = bench_.device() == device, .height = height}) && !bench_.loading()) {
      bench_.choose_device(device);
    }
  };
  const auto words = [&](const std::string& text) {
    ImGui::PushTextWrapPos(theme_.px(480));
    text_wrapped(theme_.small, theme_.dim, text);
    ImGui::PopTextWrapPos();
  };
  const EngineStatus engine = bench_.status();
  const bool any = std::any_of(gpus.devices.begin(), gpus.devices.end(), [](const CudaDevice& gpu) { return gpu.problem.empty(); });
  if (any) {
    choice("auto", {});
    ImGui::SameLine();
    choice("CPU", {DeviceChoice::Kind::cpu});
  }
  for (const CudaDevice& gpu : gpus.devices) {
    const std::string name = "cuda:" + std::to_string(gpu.index);
    if (!gpu.problem.empty()) {
      words(name + " cannot be used: " + gpu.name + " " + gpu.problem + ".");
      continue;
    }
    choice(name + " · " + gpu.name + " · " + format_bytes(gpu.total_bytes), {DeviceChoice::Kind::cuda, gpu.index});
    // Of the one in use as it is now, of others as it was when it was asked.
    const bool in_use = engine.device.total_bytes > 0 && bench_.gpu_in_use() == gpu.index;
    if (!in_use && !gpu.free_bytes) continue;
    ImGui::SameLine();
    const std::string free = format_bytes(in_use ? engine.device.free_bytes : *gpu.free_bytes) + " free" + (in_use ? "" : " at the start");
    const ImVec2 at = ImGui::GetCursorScreenPos(), size = text_size(theme_.small, free);
    ImGui::Dummy({std::ceil(size.x), height});
    draw_text(ImGui::GetWindowDrawList(), theme_.small, {at.x, at.y + std::round((height - size.y) / 2)}, theme_.dim, free);
  }
  if (bench_.looking_for_gpus()) words("Looking for GPUs …");
  else if (gpus.devices.empty() && gpus.surprising && bench_.device_note().empty()) words("No GPU: " + gpus.problem + ".");
}

void App::draw_status_details() {
  details_right_ = 0;
  if (status_detail_.empty()) return;
  const ImGuiViewport* view = ImGui::GetMainViewport();
  const std::shared_ptr<const Model> model = bench_.model();
  const bool right = status_detail_ == "frame" || status_detail_ == "decode" || status_detail_ == "prefill";
  ImGui::SetNextWindowPos({right ? view->Pos.x + view->Size.x - theme_.px(12) : view->Pos.x + theme_.px(12),
                           view->Pos.y + view->Size.y - theme_.px(Theme::kStatusBar) - theme_.px(8)},
                          ImGuiCond_Always, {right ? 1.0f : 0.0f, 1.0f});
  ImGui::PushStyleColor(ImGuiCol_WindowBg, theme_.raised);
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(theme_.px(16), theme_.px(14)));
  ImGui::Begin("status details", nullptr,
               ImGuiWindowFlags_NoDecoration | ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoSavedSettings | ImGuiWindowFlags_NoDocking |
                   ImGuiWindowFlags_AlwaysAutoResize | ImGuiWindowFlags_NoFocusOnAppearing);
  ImGui::BringWindowToDisplayFront(ImGui::GetCurrentWindow());
  const auto row = [&](const std::string& label, const std::string& value) {
    const ImVec2 pos = ImGui::GetCursorScreenPos();
    const std::string fitted = fit_text(theme_.mono, value, theme_.px(420));
    ImGui::Dummy({theme_.px(130) + text_size(theme_.mono, fitted).x, theme_.px(18)});
    draw_text(ImGui::GetWindowDrawList(), theme_.body, pos, theme_.dim, label);
    draw_text(ImGui::GetWindowDrawList(), theme_.mono, {pos.x + theme_.px(130), pos.y + theme_.px(1)}, theme_.text, fitted);
  };
  const auto note = [&](const std::string& text) {
    ImGui::PushTextWrapPos(theme_.px(480));
    text_wrapped(theme_.small, theme_.dim, text);
    ImGui::PopTextWrapPos();
  };
  const EngineStatus engine = bench_.status();
  if (status_detail_ == "model" && model) {
    const ModelConfig& config = model->config();
    text_line(theme_.heading, theme_.text, model->name());
    row("file", model->path());
    row("size", format_bytes(model->file_bytes()));
    row("parameters", format_count(model->parameter_count()));
    row("architecture", config.architecture);
    row("layers × heads", std::to_string(config.layer_count()) + " × " + std::to_string(config.layers.front().heads) + " (" +
                              std::to_string(config.layers.front().kv_heads) + " for keys and values)");
    row("width C", format_count(config.width));
    row("vocabulary V", format_count(config.vocab));
    row("context", format_count(config.context) + " tokens");
    row("weights in", model->format());
    if (small_button(theme_, "Open another model …", {.height = theme_.px(28)})) ask_open(), status_detail_.clear();
  } else if (status_detail_ == "model") {
    text_line(theme_.heading, theme_.text, "No model");
    if (small_button(theme_, "Open a model …", {.height = theme_.px(28)})) ask_open(), status_detail_.clear();
  } else if (status_detail_ == "device") {
    text_line(theme_.heading, theme_.text, "Where it is computed");
    row("backend", bench_.kernel_path());
    row("precision", options_.bench.precision == Precision::exact ? "exact" : "fast");
    draw_device_choice();
    if (!bench_.device_note().empty()) note(bench_.device_note());
    note(engine.on_host ? "Exact computes in fp32 on dequantised weights and agrees with other implementations. Fast uses quantised dot products. "
                          "Choose with --precision at the start."
                        : "Exact computes in fp32 throughout, on dequantised weights and an fp32 cache, and agrees with other implementations. "
                          "Fast keeps the cache in f16, and multiplies prompts in TF32 where the GPU can. Choose with --precision at the start.");
  } else if (status_detail_ == "weights" || status_detail_ == "memory" || status_detail_ == "kv" || status_detail_ == "pages") {
    text_line(theme_.heading, theme_.text, "Memory");
    if (model) row("weights", format_bytes(model->weight_bytes()));
    row("KV cache", format_bytes(engine.kv_bytes));
    row("pages", format_bytes(engine.page_bytes));
    if (const DeviceMemory& gpu = engine.device; gpu.total_bytes > 0) {
      row("GPU", format_bytes(gpu.total_bytes - gpu.free_bytes) + " of " + format_bytes(gpu.total_bytes) + " taken");
    }
    note("The KV cache holds keys and values of the lines that were used lately. Pages are what was captured for the panels; "
         "those of what is not shown are dropped above " + format_bytes(Engine::kPageBudget) + ".");
  } else {
    text_line(theme_.heading, theme_.text, "Speed");
    row("prefill", format_rate(engine.prefill_rate));
    row("decode", format_rate(engine.decode_rate));
    row("sampler chain", bench_.last_chain_seconds() > 0 ? format_seconds(bench_.last_chain_seconds()) : kNoValue);
    row("frame", format_seconds(frame_seconds_));
    note("Prefill: of the last call with 16 positions or more. Decode: of the last calls with one position. "
         "Frame: this thread's work for one frame; nothing is drawn while nothing moves.");
  }
  // Its own buttons are active while they are pressed.
  const bool outside = ImGui::IsMouseClicked(ImGuiMouseButton_Left) &&
                       !ImGui::IsWindowHovered(ImGuiHoveredFlags_RootAndChildWindows | ImGuiHoveredFlags_AllowWhenBlockedByActiveItem);
  if (!right) details_right_ = ImGui::GetWindowPos().x + ImGui::GetWindowSize().x;
  ImGui::End();
  ImGui::PopStyleVar();
  ImGui::PopStyleColor();
  const float status_top = view->Pos.y + view->Size.y - theme_.px(Theme::kStatusBar);
  if (outside && ImGui::GetIO().MousePos.y < status_top) status_detail_.clear();
}

void App::draw_loading(ImVec2 min, ImVec2 max) {
  if (loading_since_ <= 0 || now_ - loading_since_ < kSilentSeconds) return;
  ImGui::SetNextWindowPos({(min.x + max.x) / 2, max.y - theme_.px(24)}, ImGuiCond_Always, {0.5f, 1});
  ImGui::PushStyleColor(ImGuiCol_WindowBg, theme_.raised);
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(theme_.px(16), theme_.px(12)));
  ImGui::Begin("loading", nullptr,
               ImGuiWindowFlags_NoDecoration | ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoSavedSettings | ImGuiWindowFlags_NoDocking |
                   ImGuiWindowFlags_AlwaysAutoResize | ImGuiWindowFlags_NoFocusOnAppearing);
  ImGui::BringWindowToDisplayFront(ImGui::GetCurrentWindow());
  const float progress = bench_.load_progress(), width = theme_.px(320);
  text_line(theme_.body, theme_.text, "Loading the model: " + std::to_string(static_cast<int>(progress * 100)) + " %");
  const ImVec2 at = ImGui::GetCursorScreenPos();
  ImGui::Dummy({width, theme_.px(4)});
  ImDrawList* draw = ImGui::GetWindowDrawList();
  draw->AddRectFilled(at, {at.x + width, at.y + theme_.px(4)}, theme_.line, theme_.px(2));
  draw->AddRectFilled(at, {at.x + width * progress, at.y + theme_.px(4)}, theme_.accent, theme_.px(2));
  const double spent = now_ - loading_since_;
  if (progress > 0.05f) text_line(theme_.small, theme_.dim, "about " + format_seconds(spent / progress * (1 - progress)) + " left");
  if (small_button(theme_, "Cancel")) bench_.cancel_load();
  ImGui::End();
  ImGui::PopStyleVar();
  ImGui::PopStyleColor();
}

void App::draw_about() {
  if (about_) ImGui::OpenPopup("About Glassbox"), about_ = false, about_opening_ = true;
  const ImGuiViewport* view = ImGui::GetMainViewport();
  const ImVec2 size(std::min(theme_.px(760), view->Size.x - theme_.px(40)), std::min(theme_.px(620), view->Size.y - theme_.px(40)));
  ImGui::SetNextWindowPos(view->GetCenter(), ImGuiCond_Always, {0.5f, 0.5f});
  ImGui::SetNextWindowSize(size);
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(theme_.px(22), theme_.px(20)));
  ImGui::PushFont(theme_.body.font, theme_.body.size);
  if (ImGui::BeginPopup("About Glassbox", ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoDocking)) {
    text_line(theme_.title, theme_.text, "Glassbox " GLASSBOX_VERSION);
    text_wrapped(theme_.body, theme_.dim, "Opens the box: runs a real language model and shows what happens inside, on the text that you type. Licensed under Apache-2.0.");
    ImGui::Dummy({1, theme_.px(4)});
    text_line(theme_.bold, theme_.text, "Made of these parts");
    ImGui::BeginChild("parts", {0, -theme_.px(40)});
    const nlohmann::json licences = nlohmann::json::parse(kLicences, nullptr, false);
    const nlohmann::json parts = licences.is_object() ? licences.value("parts", nlohmann::json::array()) : nlohmann::json::array();
    for (const nlohmann::json& part : parts) {
      const auto field = [&](const char* key) { return part.contains(key) && part[key].is_string() ? part[key].get<std::string>() : std::string(); };
      const ImVec2 at = ImGui::GetCursorScreenPos();
      const float width = ImGui::GetContentRegionAvail().x - theme_.px(12);
      const std::string licence = field("license");
      ImGui::Dummy({width, theme_.px(38)});
      ImDrawList* draw = ImGui::GetWindowDrawList();
      const std::string fitted = fit_text(theme_.small, licence, width * 0.45f);
      const float licence_width = text_size(theme_.small, fitted).x;
      draw_text(draw, theme_.body, at, theme_.text, fit_text(theme_.body, field("name") + "  " + field("version"), width - licence_width - theme_.px(20)));
      draw_text(draw, theme_.small, {at.x + width - licence_width, at.y + theme_.px(2)}, theme_.dim, fitted);
      draw_text(draw, theme_.small, {at.x, at.y + theme_.px(19)}, theme_.dim, fit_text(theme_.small, field("use") + "  ·  © " + field("copyright"), width));
    }
    ImGui::EndChild();
    if (small_button(theme_, "Close", {.width = theme_.px(90), .height = theme_.px(28)})) ImGui::CloseCurrentPopup();
    ImGui::EndPopup();
  }
  ImGui::PopFont();
  ImGui::PopStyleVar();
}

}  // namespace glassbox
