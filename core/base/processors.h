// Where threads run.
#pragma once

#include <thread>

namespace glassbox {

// The scheduler likes to wake a thread on the processor of the one that wakes it, also beside an idle one, and there it
// takes the waker's place. Called by a thread that must go on (the window's) before it wakes another: that one then
// runs on any processor that the caller may use, but not on the one where it is now. Does nothing where there is only
// one.
void keep_off_this_processor(std::thread& other);

}  // namespace glassbox
