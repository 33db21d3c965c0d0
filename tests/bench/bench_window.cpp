// Measures the window on the real default model, off screen, by events of keyboard and mouse alone, frame by frame as the
// real window draws them:
//   keystroke  from a character typed into the prompt bar to the end of the first frame that shows the new text's
//              numbers (its step, distribution, and every figure of the open stage), rendered to the last pixel
//   slider     from the pointer's movement on the temperature to the end of the frame with the new chain
//   UI work    this thread's processor time for one frame: building it, and handing it to OpenGL
// All is measured twice: as it is on this machine, and by a child process with Mesa's null driver (GALLIUM_NOOP), in
// which OpenGL takes every call and draws nothing. On a machine without a graphics card the difference is what drawing in
// software costs; the second figure is our own work. Usage: bench_window [--samples 200] [--json] [--own] [--only TEXT]
// --own leaves out the measurement with drawing; --only measures what has TEXT in its name.
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <mutex>
#include <random>
#include <span>
#include <sstream>
#include <utility>

#include "app/shell/offscreen.h"
#include "app/shell/pacing.h"
#include "imgui_internal.h"
#include "tests/support/model_path.h"

namespace glassbox::bench {
namespace {

using json = nlohmann::ordered_json;  // rows in the order in which they were measured

constexpr int kWidth = 1600, kHeight = 1000;  // as the window opens
constexpr double kTimeLimit = 60;             // seconds, of anything that is waited for

double seconds_of(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}
double wall() { return seconds_of(CLOCK_MONOTONIC); }
double own_time() { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "bench_window: %s\n", why.c_str());
  std::exit(1);
}

// Milliseconds, of which a row shows the median and the 95th percentile.
class Row {
 public:
  void add(double seconds) { values_.push_back(seconds * 1e3); }
  json summary() const {
    if (values_.empty()) return nullptr;
    std::vector<double> sorted = values_;
    std::sort(sorted.begin(), sorted.end());
    const auto at = [&](double share) {
      const auto index = static_cast<size_t>(std::ceil(share * static_cast<double>(sorted.size()))) - 1;
      return std::round(sorted[std::min(index, sorted.size() - 1)] * 1e3) / 1e3;
    };
    return {{"median_ms", at(0.5)}, {"p95_ms", at(0.95)}, {"samples", sorted.size()}};
  }

 private:
  std::vector<double> values_;
};

// The window, and hands on its keyboard and mouse.
class Desk {
 public:
  Desk() {
    AppOptions options;
    options.model_path = test::model_path();
    options.bench.wake = [this] {
      {
        const std::lock_guard lock(mutex_);
        woken_ = true;
      }
      bell_.notify_one();
    };
    Result<std::unique_ptr<Offscreen>> made = Offscreen::make(std::move(options), kWidth, kHeight);
    if (!made) give_up(made.error().message());
    view_ = made.take();
    view_->use_real_time();
    view_->before_render = [this] { built_ = own_time(); };
    view_->before_swap = [this] { submitted_ = own_time(); };
    settle();
    if (!bench().model()) give_up("there is no default model: app/run fetches it");
    renderer = view_->gl().renderer();
  }

  Workbench& bench() { return view_->app().bench(); }
  const View& view() { return bench().view(); }
  const Document& document() { return bench().document(); }

  ~Desk() { view_.reset(); }

  void frame() {
    const double at = wall(), begun = own_time();
    view_->frame();
    build_seconds = built_ - begun;
    frame_seconds = submitted_ - begun;
    view_->gl().finish();
    pacer_.drawn(at);
  }
  // The next frame, when the window would draw it (GlfwWindow::run). False when it would sleep longer than `seconds`.
  bool paced_frame(double seconds = kTimeLimit) {
    App& app = view_->app();
    const double end = wall() + seconds;
    while (true) {
      const auto wait = [&] { return pacer_.wait(wall(), app.wants_frame(), bench().status().busy); };
      if (ImGui::GetCurrentContext()->InputEventsQueue.Size > 0) pacer_.input(wall());
      bool rung = false;
      {
        std::unique_lock lock(mutex_);
        const double patience = std::min(wait(), end - wall());
        if (patience > 0) bell_.wait_for(lock, std::chrono::duration<double>(patience), [&] { return woken_; });
        rung = std::exchange(woken_, false);
      }
      if (rung && app.take_news()) pacer_.news();
      if (wait() <= 0) {
        frame();
        return true;
      }
      if (wall() >= end) return false;
    }
  }
  // Frames until one has shown what `shown` asks for.
  template <class Shown>
  void frames_until(const char* what, const Shown& shown) {
    const double end = wall() + kTimeLimit;
    do {
      if (!paced_frame() || wall() > end) give_up(std::string("no frame has shown ") + what);
      if (bench().error()) give_up(bench().error()->message());
    } while (!shown());
  }
  // Until nothing is computed or moved, and a few frames more: panels lay themselves out from those before.
  void settle() {
    const double end = wall() + kTimeLimit;
    for (int still = 0; still < FramePacer::kAfterNews;) {
      const bool asleep = !paced_frame(0.05);
      still = !view_->app().settled() ? 0 : asleep ? FramePacer::kAfterNews : still + 1;
      if (bench().error()) give_up(bench().error()->message());
      if (wall() > end) give_up("the window does not settle");
    }
  }
  void play() {
    if (const Result<void> done = bench().apply(cmd::ResetRun{}); !done) give_up(done.error().message());
    bench().play();
    pacer_.news();
  }
  void forget_picture() { view_->forget_picture(); }
  void press(ImGuiKey key, ImGuiKey modifier = ImGuiKey_None) {
    ImGuiIO& io = ImGui::GetIO();
    for (const bool down : {true, false}) {
      if (modifier != ImGuiKey_None) io.AddKeyEvent(modifier, down);
      io.AddKeyEvent(key, down);
      while (ImGui::GetCurrentContext()->InputEventsQueue.Size > 0) paced_frame();  // held no longer than that: no repeats
    }
    for (int i = 0; i < 2; ++i) paced_frame();
  }
  void move_to(ImVec2 place) { ImGui::GetIO().AddMousePosEvent(place.x, place.y); }
  void hold(bool down) { ImGui::GetIO().AddMouseButtonEvent(ImGuiMouseButton_Left, down); }

  // Not measured: where a measurement begins.
  void set_up(int stage, const std::string& text) {
    move_to({4, 4});
    for (const Command& command : {Command(cmd::SetStage{stage}), Command(cmd::SetText{text}), Command(cmd::ResetRun{})})
      if (const Result<void> done = bench().apply(command); !done) give_up(done.error().message());
    pacer_.news();
    settle();
  }

  std::string renderer;
  double build_seconds = 0, frame_seconds = 0;  // of the last frame: processor time of this thread

 private:
  std::mutex mutex_;
  std::condition_variable bell_;
  bool woken_ = false;  // by the engine's threads
  std::unique_ptr<Offscreen> view_;
  FramePacer pacer_;
  double built_ = 0, submitted_ = 0;
};

// The first `count` tokens of a page of prose.
std::string prose(Desk& desk, size_t count) {
  std::ifstream file(GLASSBOX_SOURCE_DIR "/tests/golden/kl_text.txt");
  std::stringstream text;
  text << file.rdbuf();
  const std::vector<Token> tokens = desk.bench().model()->tokenizer().encode(text.str());
  if (tokens.size() < count) give_up("tests/golden/kl_text.txt is too short");
  return text.str().substr(0, tokens[count - 1].end);
}

void measure_keystrokes(Desk& desk, json& rows, const std::string& name, int samples, int stage, bool at_end) {
  constexpr int kWord = 6;  // letters that are typed before they are taken back
  const std::string base = prose(desk, 64);
  desk.set_up(stage, base);
  desk.press(ImGuiKey_L, ImGuiMod_Ctrl);
  desk.settle();
  desk.press(at_end ? ImGuiKey_End : ImGuiKey_Home, ImGuiMod_Ctrl);
  desk.settle();

  Row latency, forward, rest, frames;
  std::minstd_rand random(static_cast<unsigned>(10 * stage + at_end));  // other letters each time: no line is known
  for (int taken = 0, tried = 0; taken < samples; ++tried) {
    if (tried > 20 * samples + 100) give_up("the typed letters ask for no new step");
    const uint64_t before = desk.view().id;
    const char letter = tried % kWord == 0 ? ' ' : static_cast<char>('a' + random() % 26);
    double slowest = 0;
    const double begun = wall();
    ImGui::GetIO().AddInputCharacter(static_cast<unsigned>(letter));
    desk.frames_until("the typed letter's numbers", [&] {
      slowest = std::max(slowest, desk.frame_seconds);
      const View& view = desk.view();
      return view.id > before && !view.stale && view.tokens == desk.document().shown_tokens() &&
             (stage == 1 || view.chain) && (stage != 3 || (view.thumbnails && view.heads));
    });
    const double seconds = wall() - begun;
    if (desk.document().text != base && desk.document().text.size() <= base.size()) give_up("the letter did not arrive");
    // What had been typed before is remembered and needs no forward: it does not count.
    const StepTiming& timing = desk.view().step->timing;
    if (timing.rows > 0) {
      latency.add(seconds), forward.add(timing.seconds), rest.add(seconds - timing.seconds), frames.add(slowest);
      ++taken;
    }
    desk.settle();
    if (tried % kWord != kWord - 1) continue;
    for (int i = 0; i < kWord; ++i) desk.press(ImGuiKey_Backspace);
    desk.settle();
    if (desk.document().text != base) give_up("the letters were not taken back");
  }
  rows[name] = latency.summary();
  rows[name + ": the forward alone"] = forward.summary();
  rows[name + ": all but the forward"] = rest.summary();
  rows[name + ": UI work of its slowest frame"] = frames.summary();
}

// A place on the track of the temperature's slider: where a click changes it.
ImVec2 find_temperature(Desk& desk) {
  const ImGuiWindow* settings = nullptr;
  for (const ImGuiWindow* window : ImGui::GetCurrentContext()->Windows)
    if (std::string(window->Name).ends_with("###sampler_settings")) settings = window;
  if (!settings) give_up("the sampler's settings are not open");
  const float before = desk.document().sampler.temperature;
  for (float y = settings->Pos.y + 60; y < settings->Pos.y + settings->Size.y; y += 8) {
    const ImVec2 place(settings->Pos.x + settings->Size.x * 0.6f, y);
    desk.move_to(place);
    desk.frame();
    desk.hold(true);
    for (int i = 0; i < 2; ++i) desk.frame();
    const bool found = desk.document().sampler.temperature != before;
    desk.hold(false);
    for (int i = 0; i < 2; ++i) desk.frame();
    if (found) return place;
  }
  give_up("the temperature's slider is not where it is looked for");
}

void measure_slider(Desk& desk, json& rows, const std::string& name, int samples) {
  desk.set_up(6, prose(desk, 64));
  const ImVec2 middle = find_temperature(desk);
  desk.move_to(middle);
  desk.frame();
  desk.hold(true);
  for (int i = 0; i < 10; ++i) desk.paced_frame();
  Row latency, chain;
  for (int taken = 0; taken < samples; ++taken) {
    const SamplerSettings before = desk.document().sampler;
    const auto offset = static_cast<float>((taken * 7 + 1) % 41 - 20);  // another place each time
    const double begun = wall();
    desk.move_to({middle.x + offset, middle.y});
    desk.frames_until("the new chain", [&] {
      const View& view = desk.view();
      return desk.document().sampler != before && view.chain && view.chain->settings == desk.document().sampler;
    });
    latency.add(wall() - begun);
    chain.add(desk.bench().last_chain_seconds());
    for (int i = 0; i < 10; ++i) desk.paced_frame();  // while the knob is held, and the bars move
  }
  desk.hold(false);
  desk.settle();
  rows[name] = latency.summary();
  rows[name + ": the chain alone"] = chain.summary();
}

void measure_frames(Desk& desk, json& rows, const std::string& name, int samples, int stage, size_t tokens) {
  desk.set_up(stage, prose(desk, tokens));
  Row still_build, still, playing_build, playing;
  for (int i = 0; i < samples; ++i) {
    desk.forget_picture();  // a still picture would not be drawn again
    desk.frame();
    still_build.add(desk.build_seconds), still.add(desk.frame_seconds);
  }
  for (int i = 0; i < samples; ++i) {
    if (!desk.bench().playing()) desk.play();  // at the beginning, and when the text has come to its end
    if (!desk.paced_frame()) give_up("nothing is generated");
    playing_build.add(desk.build_seconds), playing.add(desk.frame_seconds);
  }
  desk.bench().pause();
  if (desk.view().tokens.size() <= tokens && samples > 10) give_up("nothing was generated");
  desk.settle();
  rows[name] = still.summary();
  rows[name + ": building alone"] = still_build.summary();
  rows[name + ", playing"] = playing.summary();
  rows[name + ", playing: building alone"] = playing_build.summary();
}

struct Part {
  std::string name;
  std::function<void(Desk&, json& rows, const std::string& name, int samples)> take;
};
std::vector<Part> all_parts() {
  std::vector<Part> parts;
  for (const auto& [stage, at_end] : {std::pair{1, true}, std::pair{3, true}, std::pair{3, false}})
    parts.push_back({"keystroke, 64 tokens, " + std::string(at_end ? "at the end" : "at the start") + ", stage " + std::to_string(stage),
                     [=](Desk& desk, json& rows, const std::string& name, int samples) { measure_keystrokes(desk, rows, name, samples, stage, at_end); }});
  parts.push_back({"slider, 49 152 tokens", measure_slider});
  for (const auto& [stage, tokens] : {std::pair{1, 64}, std::pair{2, 64}, std::pair{3, 64}, std::pair{6, 64}, std::pair{3, 512}})
    parts.push_back({"UI work, stage " + std::to_string(stage) + ", " + std::to_string(tokens) + " tokens",
                     [=](Desk& desk, json& rows, const std::string& name, int samples) { measure_frames(desk, rows, name, samples, stage, static_cast<size_t>(tokens)); }});
  return parts;
}

json measure(std::span<const Part> parts, int samples) {
  Desk desk;
  json rows = json::object();
  for (const Part& part : parts) part.take(desk, rows, part.name, samples);
  return {{"renderer", desk.renderer}, {"kernels", desk.bench().kernel_path()}, {"rows", rows}};
}

// measure() in a child process, where OpenGL draws nothing.
json measure_without_drawing(const Part& part, int samples) {
  int ends[2];
  if (pipe(ends) != 0) give_up("no pipe");
  const pid_t child = fork();
  if (child < 0) give_up("no child process");
  if (child == 0) {
    close(ends[0]);
    setenv("GALLIUM_NOOP", "1", 1);
    const std::string text = measure({&part, 1}, samples).dump();
    const bool written = write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
    std::fflush(nullptr);
    _exit(written ? 0 : 1);
  }
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t got; (got = read(ends[0], buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(got));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) give_up("the measurement without drawing failed");
  return json::parse(text);
}

// Each part by a process of its own: the null driver (Mesa 22.3's) gives no vertex buffer back, and where memory grows
// by a few hundred kilobytes a frame, making new pages is what would be measured in the end.
json measure_without_drawing(std::span<const Part> parts, int samples) {
  json all;
  for (const Part& part : parts) {
    json one = measure_without_drawing(part, samples);
    if (all.is_null()) all = std::move(one);
    else all["rows"].update(one["rows"]);
  }
  return all;
}

// `drawn` may be null.
void print_table(const json& own, const json& drawn) {
  std::printf("%s; %s\nmilliseconds, median / 95th percentile\n\n", (drawn.is_null() ? own : drawn)["renderer"].get<std::string>().c_str(), own["kernels"].get<std::string>().c_str());
  std::printf("| what | our own work |%s\n|---|---|%s\n", drawn.is_null() ? "" : " with drawing |", drawn.is_null() ? "" : "---|");
  const auto print = [](const json& row) { std::printf(" %.2f / %.2f |", row["median_ms"].get<double>(), row["p95_ms"].get<double>()); };
  for (const auto& [name, row] : own["rows"].items()) {
    std::printf("| %s |", name.c_str());
    print(row);
    if (!drawn.is_null()) print(drawn["rows"][name]);
    std::printf("\n");
  }
}

}  // namespace
}  // namespace glassbox::bench

int main(int argc, char** argv) {
  using namespace glassbox::bench;
  int samples = 200;
  bool as_json = false, only_own = false;
  std::string only;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--json") as_json = true;
    else if (word == "--own") only_own = true;
    else if (word == "--samples" && i + 1 < argc) samples = std::atoi(argv[++i]);
    else if (word == "--only" && i + 1 < argc) only = argv[++i];
    else samples = 0;
  }
  if (samples < 1) {
    std::fprintf(stderr, "usage: bench_window [--samples N] [--json] [--own] [--only TEXT]\n");
    return 2;
  }
  std::vector<Part> parts = all_parts();
  std::erase_if(parts, [&](const Part& part) { return part.name.find(only) == std::string::npos; });
  if (parts.empty()) give_up("nothing that is measured has this in its name: " + only);
  const json own = measure_without_drawing(parts, samples);
  const json drawn = only_own ? json() : measure(parts, samples);
  if (as_json) std::printf("%s\n", json{{"without_drawing", own}, {"drawn", drawn}}.dump(1).c_str());
  else print_table(own, drawn);
}
