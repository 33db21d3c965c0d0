// glassbox info: what the model file and the program are.
#include <map>

#include "app/cli/verbs.h"
#include "app/widgets/numbers.h"
#include "core/io/json_fields.h"

namespace glassbox {
namespace {

void add_options(OptionList& list, Options& options) {
  add_engine_options(list, options);
  add_json_option(list, options);
  list.footer(
      "JSON: what the file holds; kernel_path, devices[] {device, name, compute_capability, total_bytes, free_bytes "
      "(null: not asked for), problem\n"
      "(null: none)}, devices_problem.");
}

std::string capability_of(const CudaDevice& device) {
  return std::to_string(device.major) + "." + std::to_string(device.minor);
}

nlohmann::json layer_json(const LayerConfig& layer) {
  return {{"heads", layer.heads},
          {"kv_heads", layer.kv_heads},
          {"head_dim", layer.head_dim},
          {"ff", layer.ff},
          {"norm", layer.norm == NormKind::rms ? "rms" : "layer"},
          {"norm_eps", json_number(layer.norm_eps)},
          {"activation", layer.activation == Activation::silu ? "silu" : "gelu_tanh"},
          {"gated", layer.gated},
          {"rope", layer.rope},
          {"attention_scale", json_number(layer.attention_scale)},
          {"soft_cap", json_number(layer.soft_cap)},
          {"window", layer.window}};
}

nlohmann::json token_or_null(const Tokenizer& tokenizer, int32_t id) {
  if (id < 0) return nullptr;
  return {{"id", id}, {"text", tokenizer.text_of(id)}};
}

nlohmann::json device_json(const CudaDevice& device) {
  const auto or_null = [](bool known, const auto& value) {
    return known ? nlohmann::json(value) : nlohmann::json(nullptr);
  };
  return {{"device", "cuda:" + std::to_string(device.index)},
          {"name", device.name},
          {"compute_capability", or_null(device.major > 0, capability_of(device))},
          {"total_bytes", device.total_bytes},
          {"free_bytes", or_null(device.free_bytes.has_value(), device.free_bytes.value_or(0))},
          {"problem", or_null(!device.problem.empty(), device.problem)}};
}

// A line of the list.
std::string device_line(const CudaDevice& device) {
  std::string line = "cuda:" + std::to_string(device.index) + "  " + device.name;
  if (device.major > 0)
    line += ", compute capability " + capability_of(device) + ", " + format_bytes(device.total_bytes);
  if (device.free_bytes) line += ", " + format_bytes(*device.free_bytes) + " free";
  if (!device.problem.empty()) line += "; it " + device.problem;
  return line;
}

nlohmann::json info_json(const Model& model, const std::string& kernel_path, const CudaDevices& gpus) {
  nlohmann::json devices = nlohmann::json::array();
  for (const CudaDevice& device : gpus.devices) devices.push_back(device_json(device));
  const ModelConfig& config = model.config();
  const Tokenizer& tokenizer = model.tokenizer();
  std::map<std::string, int> types;
  for (const GgufTensor& tensor : model.file().tensors()) ++types[std::string(dtype_info(tensor.view.dtype).name)];
  nlohmann::json end_ids = nlohmann::json::array();
  for (const int32_t id : tokenizer.end_ids()) end_ids.push_back(token_or_null(tokenizer, id));
  const ChatTemplate* chat = model.chat_template();
  return {{"path", model.path()},
          {"name", model.name()},
          {"architecture", config.architecture},
          {"format", model.format()},
          {"gguf_version", model.file().version()},
          {"file_bytes", model.file_bytes()},
          {"weight_bytes", model.weight_bytes()},
          {"parameters", model.parameter_count()},
          {"model_hash", json_hash(model.hash())},
          {"tensors", types},
          {"layers", config.layer_count()},
          {"width", config.width},
          {"vocab", config.vocab},
          {"context", config.context},
          {"learned_positions", config.learned_positions},
          {"tied_head", config.tied_head},
          {"layer", layer_json(config.layers.front())},
          {"tokenizer",
           {{"pre", tokenizer.pre_name()},
            {"vocab", tokenizer.vocab_size()},
            {"merges", tokenizer.merge_count()},
            {"adds_bos", tokenizer.adds_bos()},
            {"bos", token_or_null(tokenizer, tokenizer.bos_id())},
            {"eos", token_or_null(tokenizer, tokenizer.eos_id())},
            {"end", std::move(end_ids)}}},
          {"chat_template", chat ? nlohmann::json(chat->name()) : nlohmann::json(nullptr)},
          {"chat_template_error", chat ? nlohmann::json(nullptr) : nlohmann::json(model.chat_template_error())},
          {"kernel_path", kernel_path},
          {"devices", std::move(devices)},
          {"devices_problem", gpus.problem.empty() ? nlohmann::json(nullptr) : nlohmann::json(gpus.problem)},
          {"version", GLASSBOX_VERSION}};
}

Result<void> run(CliContext& context) {
  const Result<DeviceChoice> choice = chosen_device(context.options);
  if (!choice) return choice.error();
  Result<std::shared_ptr<const Model>> loaded = load_model(context.options);
  if (!loaded) return loaded.error();
  const Model& model = **loaded;
  Result<OpenDevice> device = open_device(*choice, {context.options.threads, "", false}, model);
  if (!device) return device.error();
  if (!device->note.empty()) note(device->note);
  const CudaDevices gpus = choice->kind == DeviceChoice::Kind::cpu ? find_cuda_devices() : device->found;
  const nlohmann::json info = info_json(model, device->ops->description(), gpus);
  if (context.options.json) {
    context.out.json(info);
    return {};
  }
  const ModelConfig& config = model.config();
  const LayerConfig& layer = config.layers.front();
  const auto row = [&](const std::string& name, const std::string& value) {
    context.out.line(name + std::string(name.size() < 14 ? 14 - name.size() : 1, ' ') + value);
  };
  std::string tensors;
  for (const auto& [type, count] : info["tensors"].items())
    tensors += (tensors.empty() ? "" : ", ") + std::to_string(count.get<int>()) + " × " + type;
  row("model", model.name().empty() ? "(the file gives no name)" : model.name());
  row("file", model.path() + "  (" + format_bytes(model.file_bytes()) + ", GGUF v" +
                  std::to_string(model.file().version()) + ")");
  row("architecture", config.architecture + ", " + format_count(model.parameter_count()) + " parameters");
  row("weights", model.format() + " (" + tensors + ")");
  row("shape", "L " + std::to_string(config.layer_count()) + " layers · C " + std::to_string(config.width) + " · H " +
                   std::to_string(layer.heads) + " heads · G " + std::to_string(layer.kv_heads) + " kv heads · D " +
                   std::to_string(layer.head_dim) + " · F " + std::to_string(layer.ff));
  row("context", plural(config.context, "token"));
  row("vocabulary", plural(config.vocab, "token") + ", byte-level BPE \"" + std::string(model.tokenizer().pre_name()) +
                        "\", " + plural(static_cast<int64_t>(model.tokenizer().merge_count()), "merge"));
  row("chat template",
      model.chat_template() ? std::string(model.chat_template()->name()) : "none: " + model.chat_template_error());
  row("computes on", device->ops->description());
  for (const CudaDevice& gpu : gpus.devices) row(&gpu == &gpus.devices.front() ? "GPUs" : "", device_line(gpu));
  if (gpus.devices.empty()) row("GPUs", "none: " + gpus.problem);
  return {};
}

}  // namespace

const Verb kInfoVerb = {"info", "what the model file holds", add_options, run};

}  // namespace glassbox
