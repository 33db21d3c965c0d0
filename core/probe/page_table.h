// Which pages hold a line of tokens: for each (tap, layer), slices of them in order of position. A step keeps a copy of
// its line's table, and a text that grows token by token has a slice for each: full runs of slices are shared between
// the copies, so that one more step costs nearly the same at every length.
#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "core/probe/pages.h"

namespace glassbox {

class PageTable {
 public:
  // Adds the positions [page->begin(), end) of a page; slices that reach into them are cut back.
  void insert(std::shared_ptr<const Page> page, int end);
  const Page* find(Tap tap, int layer, int position) const;
  // First position in [0, length) that no page covers; `length` when all are covered.
  int first_missing(Tap tap, int layer, int length) const;
  // The first position that a need of a step of `length` tokens lacks; `length`: none.
  int first_missing(const TapNeed& need, int layer, int length) const;
  void truncate(int length);  // drops what lies at or after position `length`
  void clear() { slices_.clear(); }
  void keep(const ProbeSpec& needs);  // drops the taps and layers that none of them names

 private:
  struct Slice {
    std::shared_ptr<const Page> page;
    int begin, end;  // the part of the page that is valid here
  };
  using Run = std::vector<Slice>;  // never empty where it is shared
  struct SharedRun {
    std::shared_ptr<const Run> slices;
    int begin, end;
    bool whole;  // without a gap
  };
  // Of one tap and layer.
  class Slices {
   public:
    void add(Slice slice);  // it begins at or after the end of the last
    void cut(int length);
    const Page* find(int position) const;
    int first_missing() const;

   private:
    static const Page* find_in(const Run& run, int position);
    static int covered_to(const Run& run, int from);
    std::vector<SharedRun> shared_;
    Run last_;
  };
  std::map<std::pair<Tap, int>, Slices> slices_;
};

}  // namespace glassbox
