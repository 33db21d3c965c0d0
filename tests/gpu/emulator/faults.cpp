// Faults: noted with the kernel, block and thread that ran, and with the place in the source as far as the program's
// own debug information tells it.
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

#include "tests/gpu/emulator/machine.h"
#include "tests/gpu/emulator/sanitizers.h"

namespace glassbox::emulator {
namespace {

std::vector<Fault>& noted() {
  static std::vector<Fault> faults;
  return faults;
}

std::string short_path(const char* path) {
  const std::string text = path;
  for (const char* folder : {"/kernels/", "/tests/"}) {
    if (const size_t at = text.rfind(folder); at != std::string::npos) return text.substr(at + 1);
  }
  return text;
}

// addr2line is part of the binutils that the compiler links with.
std::string ask_addr2line(const void* address) {
  Dl_info image{};
  char program[4096];
  const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  if (length <= 0 || dladdr(address, &image) == 0) return "";
  program[length] = '\0';
  char command[4400];
  std::snprintf(command, sizeof command, "addr2line -C -f -e '%s' %#zx 2>/dev/null", program,
                reinterpret_cast<size_t>(address) - reinterpret_cast<size_t>(image.dli_fbase));
  FILE* pipe = popen(command, "r");
  if (pipe == nullptr) return "";
  char function[1024] = "", place[1024] = "";
  const bool both =
      std::fgets(function, sizeof function, pipe) != nullptr && std::fgets(place, sizeof place, pipe) != nullptr;
  pclose(pipe);
  if (!both || function[0] == '?') return "";
  function[std::strcspn(function, "\n")] = '\0';
  place[std::strcspn(place, " \n")] = '\0';
  return std::string(function) + " (" + short_path(place) + ")";
}

// The reports become texts of faults and need not be printed. Each library has a function of this name, and a place of
// its own to write to; UBSan's sets both back when it tells of something for the first time.
void silence_reports() {
  static const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  for (const char* name : {"libasan.so.8", "libasan.so.6", "libubsan.so.1"}) {  // of GCC 12 and later, and of 11
    void* library = dlopen(name, RTLD_NOW | RTLD_NOLOAD);
    void* function = library != nullptr ? dlsym(library, "__sanitizer_set_report_fd") : nullptr;
    if (function == nullptr) continue;
    reinterpret_cast<void (*)(void*)>(function)(reinterpret_cast<void*>(static_cast<intptr_t>(dup(nowhere))));
  }
}

// The line that tells what it is, and the two innermost frames.
void note_address_report(const char* report) {
  const char* text = std::strstr(report, "AddressSanitizer: ");
  if (text == nullptr) text = report;
  std::string found(text, std::strcspn(text, "\n"));
  if (const char* frame = std::strstr(report, "    #0 "); frame != nullptr) {
    for (int lines = 0; lines < 2 && std::strncmp(frame, "    #", 5) == 0; ++lines) {
      const size_t length = std::strcspn(frame, "\n");
      found += "\n" + std::string(frame, length);
      frame += length + (frame[length] == '\n');
    }
  }
  note_fault(FaultKind::sanitizer, found);
}

}  // namespace

std::string describe(const std::source_location& where) {
  return short_path(where.file_name()) + ":" + std::to_string(where.line());
}

std::string describe(const uint3& v) {
  return "(" + std::to_string(v.x) + "," + std::to_string(v.y) + "," + std::to_string(v.z) + ")";
}

std::string describe_thread(unsigned number) {
  const dim3& size = running().launch->block;
  return "thread " + describe(uint3{number % size.x, number / size.x % size.y, number / size.x / size.y});
}

std::string describe_code(const void* address) {
  static std::map<const void*, std::string> known;
  const auto [entry, is_new] = known.try_emplace(address);
  if (is_new) entry->second = ask_addr2line(address);
  return entry->second;
}

void note_fault(FaultKind kind, const std::string& text, const void* address) {
  Running& now = running();
  std::string full;
  if (now.launch != nullptr) {
    if (now.failed) return;  // the first one of a launch tells; what follows may be its consequence
    full = "kernel " + describe_code(now.launch->kernel) + ", block " + describe(now.block);
    if (now.thread != nullptr) full += ", " + describe_thread(now.thread->number);
    full += ": ";
    now.failed = true;
  }
  full += text;
  // The address is that of the next instruction.
  if (address != nullptr) full += "\n  at " + describe_code(static_cast<const char*>(address) - 1);
  noted().push_back({kind, full});
}

bool any_fault() {
  return !noted().empty();
}

std::vector<Fault> exchange_faults() {
  return std::exchange(noted(), {});
}

void catch_sanitizers() {
  static const bool done = [] {
    if (__asan_set_error_report_callback == nullptr) return false;
    __asan_set_error_report_callback(note_address_report);
    silence_reports();
    return true;
  }();
  (void)done;
}

}  // namespace glassbox::emulator

extern "C" {
// Where the kernels are compiled with AddressSanitizer and UBSan: what they find becomes a fault, and the program goes
// on.
const char* __asan_default_options() {
  return "halt_on_error=0:suppress_equal_pcs=0:detect_leaks=0:detect_stack_use_after_return=0:allocator_may_return_"
         "null=1";
}
const char* __ubsan_default_options() {
  return "silence_unsigned_overflow=1";
}
void __ubsan_on_report() {
  if (__ubsan_get_current_report_data == nullptr) return;
  glassbox::emulator::silence_reports();
  const char *kind = "", *message = "", *file = "";
  unsigned line = 0, column = 0;
  char* address = nullptr;
  __ubsan_get_current_report_data(&kind, &message, &file, &line, &column, &address);
  using namespace glassbox::emulator;
  note_fault(FaultKind::sanitizer,
             std::string("UBSan: ") + message + " (" + kind + ")" +
                 (file != nullptr && *file != '\0' ? " at " + std::string(file) + ":" + std::to_string(line) : ""));
}
}
