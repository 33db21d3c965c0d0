// The house rules on includes (ARCHITECTURE §1), read from the tree: dependencies point one way, and foreign headers
// stay where they belong.
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kLayers[] = {"kernels", "core", "lessons", "app"};  // lowest first

// The position of the layer that a path begins with, or none.
std::optional<std::size_t> find_layer(std::string_view path) {
  for (std::size_t i = 0; i < std::size(kLayers); ++i)
    if (path.size() > kLayers[i].size() && path.starts_with(kLayers[i]) && path[kLayers[i].size()] == '/') return i;
  return std::nullopt;
}

bool starts_with_any(std::string_view text, std::initializer_list<std::string_view> beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(), [&](auto beginning) { return text.starts_with(beginning); });
}

// app/platform_glfw.cpp, app/platform_linux/…, app/shell/platform_gl.h: what belongs to a platform.
bool is_platform_file(std::string_view path) {
  return path.starts_with("app/") && path.find("/platform_") != std::string_view::npos;
}

// Why a file may not include a header, or nothing if it may. `path` is relative to the repository.
std::optional<std::string> find_fault(std::string_view path, std::string_view header) {
  const auto own = find_layer(path);
  const auto other = find_layer(header);
  if (!own) return std::nullopt;
  if (other && *other > *own) return "a layer must not include one above it";
  if (header.starts_with("tests/")) return "the program must not include its tests";
  if (header.find("..") != std::string_view::npos) return "paths in includes start at the repository's root";
  const bool draws = starts_with_any(header, {"imgui", "implot", "imcmd_", "rich_md", "backends/latex", "stb_image",
                                              "glassbox_icons", "icons_font_awesome", "portable_file_dialogs"});
  if (draws && !path.starts_with("app/")) return "only app draws";
  if (starts_with_any(header, {"imgui_te_", "imgui_capture_tool"})) return "the test engine belongs to the tests";
  if (starts_with_any(header, {"GLFW/", "GL/", "EGL/", "GLES", "X11/", "imgui_impl_"}) && !is_platform_file(path))
    return "only app/platform_* includes GLFW, EGL or GL";
  if (starts_with_any(header, {"cuda", "cublas", "curand", "cooperative_groups", "mma.h"}) &&
      !path.starts_with("kernels/cuda/"))
    return "only kernels/cuda includes CUDA";
  if (starts_with_any(header, {"nlohmann/", "utf8proc"}) && path.starts_with("kernels/")) return "kernels know no text";
  if (starts_with_any(header, {"CLI/"}) && path != "app/cli/option_list.cpp" && path != "app/cli/cli.cpp")
    return "options are declared through app/cli/option_list.h: CLI11 takes seconds to compile";
  return std::nullopt;
}

// The header that a line includes, or nothing.
std::optional<std::string> read_include(std::string_view line) {
  const auto hash = line.find_first_not_of(" \t");
  if (hash == std::string_view::npos || line[hash] != '#') return std::nullopt;
  const auto word = line.find_first_not_of(" \t", hash + 1);
  if (word == std::string_view::npos || !line.substr(word).starts_with("include")) return std::nullopt;
  const auto open = line.find_first_of("<\"", word);
  if (open == std::string_view::npos) return std::nullopt;
  const auto close = line.find_first_of(">\"", open + 1);
  if (close == std::string_view::npos) return std::nullopt;
  return std::string(line.substr(open + 1, close - open - 1));
}

struct Include {
  std::string path;    // of the file, relative to the repository
  int line = 0;        // counted from 1
  std::string header;  // as written
};

std::vector<Include> read_tree(const fs::path& root) {
  std::vector<Include> found;
  for (const auto layer : kLayers) {
    if (!fs::exists(root / layer)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / layer)) {
      const auto ending = entry.path().extension();
      if (ending != ".h" && ending != ".cpp" && ending != ".cu" && ending != ".cuh") continue;
      std::ifstream file(entry.path());
      std::string text;
      for (int line = 1; std::getline(file, text); ++line)
        if (auto header = read_include(text))
          found.push_back({fs::relative(entry.path(), root).generic_string(), line, *header});
    }
  }
  return found;
}

}  // namespace

TEST_CASE("Every include respects the layers", "[layers]") {
  const auto includes = read_tree(GLASSBOX_SOURCE_DIR);
  REQUIRE(includes.size() > 100);
  for (const auto& include : includes)
    if (const auto fault = find_fault(include.path, include.header))
      FAIL_CHECK(include.path << ":" << include.line << " includes " << include.header << ": " << *fault);
}

TEST_CASE("The rules on includes refuse what they should", "[layers]") {
  CHECK(find_fault("kernels/ops.h", "core/base/result.h"));
  CHECK(find_fault("core/run/session.cpp", "lessons/goals.h"));
  CHECK(find_fault("core/run/session.cpp", "app/shell/shell.h"));
  CHECK(find_fault("lessons/goals.cpp", "app/theme/theme.h"));
  CHECK(find_fault("core/model/forward.cpp", "imgui.h"));
  CHECK(find_fault("core/model/forward.cpp", "GLFW/glfw3.h"));
  CHECK(find_fault("core/model/forward.cpp", "cuda_runtime.h"));
  CHECK(find_fault("kernels/cpu/ops.cpp", "cublas_v2.h"));
  CHECK(find_fault("kernels/cpu/ops.cpp", "nlohmann/json.hpp"));
  CHECK(find_fault("app/panels/attention.cpp", "GL/gl.h"));
  CHECK(find_fault("app/panels/attention.cpp", "imgui_impl_glfw.h"));
  CHECK(find_fault("app/panels/attention.cpp", "imgui_te_engine.h"));
  CHECK(find_fault("app/panels/attention.cpp", "../core/base/result.h"));
  CHECK(find_fault("core/text/bpe.cpp", "CLI/CLI.hpp"));
  CHECK(find_fault("app/cli/verb_info.cpp", "CLI/CLI.hpp"));
  CHECK_FALSE(find_fault("app/cli/cli.cpp", "CLI/CLI.hpp"));

  CHECK_FALSE(find_fault("core/run/session.cpp", "kernels/ops.h"));
  CHECK_FALSE(find_fault("app/panels/attention.cpp", "imgui.h"));
  CHECK_FALSE(find_fault("app/panels/attention.cpp", "core/run/document.h"));
  CHECK_FALSE(find_fault("app/platform_glfw.cpp", "GLFW/glfw3.h"));
  CHECK_FALSE(find_fault("app/shell/platform_window.cpp", "imgui_impl_opengl3.h"));
  CHECK_FALSE(find_fault("kernels/cuda/ops.cu", "cuda_runtime.h"));
  CHECK_FALSE(find_fault("core/text/unicode.cpp", "utf8proc.h"));
}

TEST_CASE("Includes are read as the compiler reads them", "[layers]") {
  CHECK(read_include("#include \"core/base/result.h\"") == "core/base/result.h");
  CHECK(read_include("  #  include <vector>  // why") == "vector");
  CHECK_FALSE(read_include("// #include <vector>"));
  CHECK_FALSE(read_include("#define INCLUDE <vector>"));
  CHECK_FALSE(read_include("#pragma once"));
}
