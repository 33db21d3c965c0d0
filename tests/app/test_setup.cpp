// What app/run asks before it builds: whether there is an NVIDIA driver, and whether that or the toolkit has changed.
#include <catch2/catch_test_macros.hpp>

#include <cstdio>
#include <fstream>
#include <string>

#include "tests/support/temporary_folder.h"

namespace glassbox::test {
namespace {

// Standard output of a script that has app/setup/setup.sh at hand, in a folder without a driver of this machine.
std::string run_script(const TemporaryFolder& folder, const std::string& script) {
  std::ofstream(folder.file("script")) << "set -euo pipefail\n. " GLASSBOX_SOURCE_DIR "/app/setup/setup.sh\n"
                                       << "cd " << folder.path() << "\nmkdir -p tools\nPATH=$PWD/tools:$PATH\n"
                                       << "nvidia_driver_signs=($PWD/driver)\nCUDA_HOME=\n"
                                       << "smi() { printf '#!/bin/sh\\n%s\\n' \"$1\" > tools/nvidia-smi; chmod +x "
                                          "tools/nvidia-smi; }\nsmi 'exit 9'\n"
                                       << script;
  FILE* const pipe = popen(("bash " + folder.file("script")).c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  char buffer[4096];
  for (size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, n);
  CHECK(pclose(pipe) == 0);
  return text;
}

TEST_CASE("app/run sees a driver by its files, and by what its tool says", "[setup]") {
  const TemporaryFolder folder;
  CHECK(run_script(folder,
                   "has_nvidia_driver || echo none\n"
                   "smi 'echo \"GPU 0: NVIDIA H200 (UUID: x)\"'; has_nvidia_driver && echo tool\n"
                   "smi 'echo \"Failed to initialize NVML\"'; has_nvidia_driver || echo none\n"
                   "touch driver; has_nvidia_driver && echo file\n") == "none\ntool\nnone\nfile\n");
}

TEST_CASE("app/run builds again when a driver or a toolkit came, and not otherwise", "[setup]") {
  const TemporaryFolder folder;
  CHECK(run_script(folder,
                   "ask() { if is_built program stamp part; then echo built; else echo stale; fi; }\n"
                   "touch -d '1 hour ago' part; ask\n"
                   "touch program; chmod +x program; : > stamp; ask\n"  // of a version that wrote no state
                   "build_state > stamp; ask\n"
                   "touch driver; ask; build_state > stamp; ask\n"
                   "CUDA_HOME=/somewhere; ask; build_state > stamp; ask\n"
                   "touch -d '1 hour' part; ask\n") == "stale\nstale\nbuilt\nstale\nbuilt\nstale\nbuilt\nstale\n");
}

TEST_CASE("a folder that was configured with another toolkit is configured anew", "[setup]") {
  const TemporaryFolder folder;
  CHECK(run_script(folder,
                   "ask() { if has_this_toolkit .; then echo same; else echo other; fi; }\n"
                   "mkdir -p a/bin b/bin; touch a/bin/nvcc b/bin/nvcc; ln -s a link\n"
                   "echo \"GLASSBOX_NVCC:FILEPATH=$PWD/a/bin/nvcc\" > CMakeCache.txt; ask\n"
                   "CUDA_HOME=$PWD/link; ask; CUDA_HOME=$PWD/b; ask\n"
                   "echo 'GLASSBOX_NVCC:FILEPATH=GLASSBOX_NVCC-NOTFOUND' > CMakeCache.txt; ask\n"
                   ": > CMakeCache.txt; ask\n") == "same\nsame\nother\nother\nsame\n");
}

}  // namespace
}  // namespace glassbox::test
