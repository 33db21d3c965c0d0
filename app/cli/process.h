// What the command line asks of the operating system; process_linux.cpp answers.
#pragma once

#include <cstdio>
#include <string>

#include "core/base/result.h"

namespace glassbox {

// From now on Ctrl+C sets interrupted() instead of ending the program (a second one ends it), and writing to a pipe
// that nobody reads is an error of the write instead of the program's death.
void catch_signals();
bool interrupted();
Error interrupted_error();  // kind cancelled

// Seconds since this process was started by the system, with its loading by the linker; 10 ms steps.
double seconds_since_start();

bool is_terminal(FILE* stream);
// Columns of the terminal behind standard output: what it says itself, else $COLUMNS, else 80.
int terminal_width();
// True when a display server is named ($DISPLAY or $WAYLAND_DISPLAY).
bool has_display();

// All of standard input. Errors: usage (more than `max_bytes`), failed (cannot be read), cancelled.
Result<std::string> read_standard_input(size_t max_bytes);

}  // namespace glassbox
