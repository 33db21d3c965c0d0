// The Workbench ties it together: the Document and its commands, the model, the engine and analysis threads. The
// window, the command line, lessons and tests drive the program through it. All its functions belong to one thread (the
// window's, or main); none waits, except settle().
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/run/analysis.h"
#include "core/run/command.h"
#include "core/run/device.h"
#include "core/run/engine.h"

namespace glassbox {

inline constexpr int kNeighbourCount = 32;  // of each measure

struct WorkbenchOptions {
  int threads = 0;
  DeviceChoice device = {};
  Precision precision = Precision::fast;
  size_t most_whole_patterns = size_t{320} << 20;  // bytes; see keeps_whole_patterns()
  std::function<void()> wake = [] {};              // from any thread: something new is there, call pump()
  // Tests have devices that fail, and others than this machine.
  decltype(&glassbox::open_device) open_device = &glassbox::open_device;
  decltype(&glassbox::find_cuda_devices) find_devices = &glassbox::find_cuda_devices;
};

// What panels draw: all of one step. Parts are null until they are computed, or when nobody needs them.
struct View {
  uint64_t id = 0;              // grows with each published step
  std::vector<int32_t> tokens;  // of the step
  std::shared_ptr<const Step> step;
  std::shared_ptr<const Step> baseline;              // without what the edits do; null when there are none
  std::shared_ptr<const ChainResult> chain;          // of step.logits under the document's settings
  std::shared_ptr<const DistributionChange> change;  // baseline → step
  std::shared_ptr<const Thumbnails> thumbnails;
  std::shared_ptr<const HeadTable> heads;
  std::shared_ptr<const CosineMatrix> cosines;   // of selection.vector_layer
  std::shared_ptr<const Neighbours> neighbours;  // of the token at the selected position
  bool stale = false;                            // the document has moved on; a newer view is being computed
};

// What the visible panels need: taps, and analyses.
struct Needs {
  ProbeSpec probe;
  bool chain = false, change = false, thumbnails = false, heads = false, cosines = false, neighbours = false;
  void merge(const Needs& other);
};

class Workbench {
 public:
  // Begins with `document`, with nothing to undo.
  explicit Workbench(WorkbenchOptions options, Document document = make_document());
  ~Workbench();

  // The model. Loading runs on a thread of its own; a failure leaves the model in use and sets load_error().
  void load_model(const std::string& path);
  bool loading() const;
  float load_progress() const;
  void cancel_load();
  const std::optional<Error>& load_error() const { return load_error_; }
  void clear_errors();
  std::shared_ptr<const Model> model() const { return model_; }
  std::string kernel_path() const;
  // Where it is computed. Like loading: the engine in use goes on until the new one stands, an error is load_error(). A
  // device that fails while it runs is left for the CPU.
  void choose_device(const DeviceChoice& choice);
  const DeviceChoice& device() const;                // as chosen
  int gpu_in_use() const { return gpu_in_use_; }     // the index of the one that computes; −1: none
  const CudaDevices& gpus() const { return gpus_; }  // of this machine, as they were found
  // Looks for them beside this thread, once, where nobody has looked yet: with the CPU chosen nothing is looked for.
  void look_for_gpus();
  bool looking_for_gpus() const;
  const std::string& device_note() const { return device_note_; }  // why it is another than one might expect, or empty

  // The document.
  const Document& document() const { return document_; }
  Result<void> apply(const Command& command);
  bool can_undo() const { return history_.can_undo(); }
  bool can_redo() const { return history_.can_redo(); }
  void undo();
  void redo();
  void replace_document(Document document);  // opened from a file; undone by Ctrl+Z

  // Transport that needs the model: draws tokens by the chain as soon as the step is there.
  void step_tokens(int count);  // generate `count` tokens from the cursor on; −1: until the end of text or the context
  void play() { step_tokens(-1); }
  void pause();
  bool playing() const { return pending_tokens_ != 0; }
  void back();         // cursor to the parent node
  void forward_one();  // cursor along the shown line, or a new token at its end

  // Grows with every change of the document and the view: what is measured on them stays until then.
  uint64_t revision() const { return revision_; }

  // What is shown.
  void set_needs(const Needs& needs);
  const View& view() const { return view_; }
  // Takes finished work, posts what is missing, advances a running generation. True when something changed.
  bool pump();
  // Posts what is missing and takes nothing: what is shown stays. After the commands of a frame, so that the threads
  // work while it is being drawn.
  void ask();
  // Waits until everything asked for is there (or failed). False after the time limit. For tests, lessons, the command
  // line.
  bool settle(double seconds = 120);
  bool busy() const;                                            // something asked for is not there yet
  void cancel();                                                // the running request
  const std::optional<Error>& error() const { return error_; }  // of the last request or command; shown in the window
  EngineStatus status() const;
  double last_chain_seconds() const;

 private:
  struct Impl;
  bool take_model();
  bool take_device_news();
  using ModelSource = std::function<Result<std::shared_ptr<const Model>>(const LoadProgress&)>;
  void load(ModelSource source);
  void fit_document();
  Result<void> check_against_model(const Command& command) const;
  void after_time_travel();
  bool keeps_whole_patterns() const;
  Needs all_needs() const;
  void post_step();
  bool take_step();
  void wish_analyses();
  bool advance();

  std::unique_ptr<Impl> impl_;
  std::shared_ptr<const Model> model_;
  Document document_;
  History history_;
  Needs needs_;
  View view_;
  std::optional<Error> error_, load_error_;
  std::string device_note_;
  CudaDevices gpus_;
  int gpu_in_use_ = -1;
  int pending_tokens_ = 0;  // to generate; −1: without end
  uint64_t revision_ = 1;
  bool analyses_complete_ = false;  // of view_, under the document as it is
};

}  // namespace glassbox
