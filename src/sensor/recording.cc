#include "sensor/recording.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/base64.h"
#include "base/file.h"
#include "base/json.h"
#include "base/printable.h"
#include "format/source.h"
#include "sensor/disk_walk.h"
#include "sensor/model_store.h"
#include "sensor/runtime_rules.h"
#include "sensor/weights.h"

namespace lantern::sensor {
namespace {

using base::Json;

constexpr uint64_t kVersion = 1;
constexpr size_t kRecordingBytesMax = 1u << 30;

struct RecordedFile {
  FileId id = {};
  std::string path = {}, how = {};
  base::FileStamp stamp = {};
  uint64_t size = 0;
  std::string content = {};  // its front, or of a program what rules look for
};

struct RecordedProcess {
  Process process = {};
  std::optional<std::string> executable = {};
  std::optional<std::vector<MappedFile>> mapped = {};
  std::optional<std::vector<OpenDescriptor>> descriptors = {};
  std::optional<IoCounters> io = {};
  std::optional<Surroundings> surroundings = {};
};

struct Recording {
  int64_t now_s = 0;
  std::vector<std::string> blind_spots = {};
  std::vector<Listener> listeners = {};
  std::vector<RecordedProcess> processes = {};
  std::vector<RecordedFile> files = {};
  std::map<std::string, std::vector<DirectoryEntry>> folders = {};
  std::vector<Home> homes = {};

  RecordedProcess* find(int pid) {
    const auto at = std::find_if(processes.begin(), processes.end(),
                                 [&](const auto& one) { return one.process.pid == pid; });
    return at == processes.end() ? nullptr : &*at;
  }
};

// ---- As JSON. Names are bytes, JSON's texts are Unicode: a name that is no UTF-8 is written as
// base64 behind a mark that begins with NUL, which no name holds. ----

constexpr std::string_view kBytesMark("\0base64:", 8);

std::string recorded(std::string_view name) {
  if (base::is_utf8(name) && !name.starts_with(kBytesMark)) return std::string(name);
  return std::string(kBytesMark) + base::to_base64(name);
}

/// Of a recording's hostile text; what is marked and is no base64 is left as it is.
std::string name_from(const Json& json) {
  const auto& text = json.get_ref<const std::string&>();
  if (!text.starts_with(kBytesMark)) return text;
  const auto bytes = base::from_base64(std::string_view(text).substr(kBytesMark.size()));
  if (!bytes.ok()) return text;
  return {reinterpret_cast<const char*>(bytes->data()), bytes->size()};
}

Json to_json(const FileId& id) { return Json::array({id.device, id.inode}); }
Json to_json(const CommandLine& line) {
  Json flags = Json::array(), variables = Json::array();
  for (const auto& [name, value] : line.flags) flags.push_back({recorded(name), recorded(value)});
  for (const std::string& name : line.variables) variables.push_back(recorded(name));
  return {{"program", recorded(line.program)},
          {"script", recorded(line.script)},
          {"flags", std::move(flags)},
          {"variables", std::move(variables)}};
}
Json to_json(const Process& one) {
  return {{"pid", one.pid},
          {"parent", one.parent},
          {"start_ticks", one.start_ticks},
          {"started_at_s", one.started_at_s},
          {"uid", one.uid},
          {"name", recorded(one.name)},
          {"command", to_json(one.command)},
          {"cgroup", recorded(one.cgroup)},
          {"resident_bytes", one.resident_bytes},
          {"anonymous_bytes", one.anonymous_bytes},
          {"cpu_s", one.cpu_s},
          {"own", one.own},
          {"own_program", one.own_program}};
}
Json to_json(const MappedFile& one) {
  return {{"id", to_json(one.id)},  {"path", recorded(one.path)},
          {"deleted", one.deleted}, {"executable", one.executable},
          {"bytes", one.bytes},     {"begin", one.begin},
          {"end", one.end},         {"offset", one.offset}};
}
Json to_json(const OpenDescriptor& one) {
  Json json = {{"fd", one.fd},           {"path", recorded(one.path)}, {"deleted", one.deleted},
               {"regular", one.regular}, {"id", to_json(one.id)},      {"size", one.size}};
  if (one.drm) json["drm"] = {recorded(one.drm->driver), one.drm->memory_bytes, one.drm->engine_ns};
  return json;
}
Json to_json(const DirectoryEntry& one) {
  Json json = {{"name", recorded(one.name)},
               {"folder", one.folder},
               {"regular", one.regular},
               {"size", one.size},
               {"id", to_json(one.id)}};
  if (!one.link.empty()) json["link"] = recorded(one.link);
  return json;
}
Json to_json(const RecordedFile& one) {
  const base::FileStamp& stamp = one.stamp;
  return {{"id", to_json(one.id)},
          {"path", recorded(one.path)},
          {"how", recorded(one.how)},
          {"stamp", {stamp.device, stamp.inode, stamp.size, stamp.mtime_ns, stamp.ctime_ns}},
          {"size", one.size},
          {"content", base::to_base64(one.content)}};
}

template <typename T>
Json list_to_json(const std::vector<T>& list) {
  Json json = Json::array();
  for (const T& one : list) json.push_back(to_json(one));
  return json;
}

Json to_json(const RecordedProcess& one) {
  Json json = {{"process", to_json(one.process)}};
  if (one.executable) json["executable"] = recorded(*one.executable);
  if (one.mapped) json["mapped"] = list_to_json(*one.mapped);
  if (one.descriptors) json["descriptors"] = list_to_json(*one.descriptors);
  if (one.io) json["io"] = {one.io->read_chars, one.io->read_bytes};
  if (one.surroundings) {
    json["namespaces"] = one.surroundings->namespaces;
    if (one.surroundings->owner) json["namespace_owner"] = *one.surroundings->owner;
  }
  return json;
}

Json to_json(const Recording& recording) {
  Json listeners = Json::array(), homes = Json::array(), folders = Json::object();
  for (const Listener& one : recording.listeners)
    listeners.push_back({one.port, one.loopback, one.socket_inode, one.own_network});
  for (const Home& one : recording.homes) homes.push_back({one.uid, recorded(one.path)});
  for (const auto& [path, entries] : recording.folders)
    folders[recorded(path)] = list_to_json(entries);
  return {{"lantern_recording", kVersion},
          {"now_s", recording.now_s},
          {"blind_spots", recording.blind_spots},
          {"listeners", std::move(listeners)},
          {"processes", list_to_json(recording.processes)},
          {"files", list_to_json(recording.files)},
          {"folders", std::move(folders)},
          {"homes", std::move(homes)}};
}

// nlohmann's at() and get() throw what a recording lacks; parse_recording() catches it.

FileId id_from(const Json& json) {
  return {.device = json.at(0).get<uint64_t>(), .inode = json.at(1).get<uint64_t>()};
}
CommandLine command_from(const Json& json) {
  CommandLine line{.program = name_from(json.at("program")),
                   .script = name_from(json.at("script"))};
  for (const Json& flag : json.at("flags"))
    line.flags.emplace_back(name_from(flag.at(0)), name_from(flag.at(1)));
  for (const Json& name : json.at("variables")) line.variables.push_back(name_from(name));
  return line;
}
Process process_from(const Json& json) {
  return {.pid = json.at("pid"),
          .parent = json.at("parent"),
          .start_ticks = json.at("start_ticks"),
          .started_at_s = json.at("started_at_s"),
          .uid = json.at("uid"),
          .name = name_from(json.at("name")),
          .command = command_from(json.at("command")),
          .cgroup = name_from(json.at("cgroup")),
          .resident_bytes = json.at("resident_bytes"),
          .anonymous_bytes = json.at("anonymous_bytes"),
          .cpu_s = json.at("cpu_s"),
          .own = json.at("own"),
          .own_program = json.at("own_program")};
}
MappedFile mapped_from(const Json& json) {
  return {.id = id_from(json.at("id")),
          .path = name_from(json.at("path")),
          .deleted = json.at("deleted"),
          .executable = json.at("executable"),
          .bytes = json.at("bytes"),
          .begin = json.at("begin"),
          .end = json.at("end"),
          .offset = json.at("offset")};
}
OpenDescriptor descriptor_from(const Json& json) {
  OpenDescriptor one{.fd = json.at("fd"),
                     .path = name_from(json.at("path")),
                     .deleted = json.at("deleted"),
                     .regular = json.at("regular"),
                     .id = id_from(json.at("id")),
                     .size = json.at("size")};
  if (const auto drm = json.find("drm"); drm != json.end())
    one.drm = DrmUse{
        .driver = name_from(drm->at(0)), .memory_bytes = drm->at(1), .engine_ns = drm->at(2)};
  return one;
}
DirectoryEntry entry_from(const Json& json) {
  DirectoryEntry entry{.name = name_from(json.at("name")),
                       .folder = json.at("folder"),
                       .regular = json.at("regular"),
                       .size = json.at("size"),
                       .id = id_from(json.at("id"))};
  if (json.contains("link")) entry.link = name_from(json["link"]);
  return entry;
}

template <typename Make>
auto list_from(const Json& json, const Make& make) {
  std::vector<decltype(make(json))> list;
  for (const Json& one : json) list.push_back(make(one));
  return list;
}

Result<RecordedFile> file_from(const Json& json) {
  const Json& stamp = json.at("stamp");
  RecordedFile file{.id = id_from(json.at("id")),
                    .path = name_from(json.at("path")),
                    .how = name_from(json.at("how")),
                    .stamp = {.device = stamp.at(0),
                              .inode = stamp.at(1),
                              .size = stamp.at(2),
                              .mtime_ns = stamp.at(3),
                              .ctime_ns = stamp.at(4)},
                    .size = json.at("size")};
  LANTERN_ASSIGN(const std::vector<std::byte> content,
                 base::from_base64(json.at("content").get_ref<const std::string&>()));
  file.content.assign(reinterpret_cast<const char*>(content.data()), content.size());
  if (file.content.size() > file.size)
    return make_error(ErrorCode::kCorrupt, "a file holds more than its size");
  return file;
}

Result<Recording> recording_from(const Json& json) {
  if (json.at("lantern_recording") != kVersion)
    return make_error(ErrorCode::kUnsupported, "a recording of another version");
  Recording recording{.now_s = json.at("now_s"), .blind_spots = json.at("blind_spots")};
  for (const Json& one : json.at("listeners"))
    recording.listeners.push_back({.port = one.at(0),
                                   .loopback = one.at(1),
                                   .socket_inode = one.at(2),
                                   .own_network = one.size() < 4 || one.at(3).get<bool>()});
  for (const Json& one : json.at("homes"))
    recording.homes.push_back({.uid = one.at(0), .path = name_from(one.at(1))});
  for (const Json& one : json.at("processes")) {
    RecordedProcess process{.process = process_from(one.at("process"))};
    if (one.contains("executable")) process.executable = name_from(one["executable"]);
    if (one.contains("mapped")) process.mapped = list_from(one["mapped"], mapped_from);
    if (one.contains("descriptors"))
      process.descriptors = list_from(one["descriptors"], descriptor_from);
    if (one.contains("io"))
      process.io = IoCounters{.read_chars = one["io"].at(0), .read_bytes = one["io"].at(1)};
    if (one.contains("namespaces")) {
      process.surroundings = Surroundings{.namespaces = one["namespaces"]};
      if (one.contains("namespace_owner"))
        process.surroundings->owner = one["namespace_owner"].get<uint32_t>();
    }
    recording.processes.push_back(std::move(process));
  }
  for (const Json& one : json.at("files")) {
    LANTERN_ASSIGN(RecordedFile file, file_from(one));
    recording.files.push_back(std::move(file));
  }
  for (const auto& [path, entries] : json.at("folders").items())
    recording.folders[name_from(Json(path))] = list_from(entries, entry_from);
  return recording;
}

// ---- The machine that was recorded ----

class ReplayHost final : public Host {
 public:
  explicit ReplayHost(Recording recording) : recording_(std::move(recording)) {}

  [[nodiscard]] std::vector<std::string> blind_spots() const override {
    return recording_.blind_spots;
  }
  [[nodiscard]] int64_t now_s() const override { return recording_.now_s; }
  Result<std::vector<Process>> processes() override {
    std::vector<Process> all;
    all.reserve(recording_.processes.size());
    for (const RecordedProcess& one : recording_.processes) all.push_back(one.process);
    return all;
  }
  Result<Pulse> pulse(int pid) override {
    for (const RecordedProcess& one : recording_.processes)
      if (one.process.pid == pid) return Pulse{.pid = pid, .start_ticks = one.process.start_ticks};
    return make_error(ErrorCode::kNotFound, "{}: no such process", pid);
  }
  Result<std::string> executable(int pid) override {
    return part(pid, &RecordedProcess::executable);
  }
  Result<std::vector<MappedFile>> mapped_files(int pid) override {
    return part(pid, &RecordedProcess::mapped);
  }
  Result<std::vector<OpenDescriptor>> descriptors(int pid) override {
    return part(pid, &RecordedProcess::descriptors);
  }
  Result<IoCounters> io(int pid) override { return part(pid, &RecordedProcess::io); }
  Result<Surroundings> surroundings(int pid) override {
    return part(pid, &RecordedProcess::surroundings);
  }
  Result<std::vector<Listener>> listeners() override { return recording_.listeners; }

  Result<OpenedFile> ask(uint16_t, std::string_view) override { return missing(); }
  Result<OpenedFile> open_mapped(int, const MappedFile& file) override {
    return open([&](const RecordedFile& one) { return one.id == file.id; });
  }
  Result<OpenedFile> open_descriptor(int, const OpenDescriptor& descriptor) override {
    return open([&](const RecordedFile& one) { return one.id == descriptor.id; });
  }
  Result<OpenedFile> open_file(const std::string& path) override {
    return open([&](const RecordedFile& one) { return one.path == path; });
  }
  Result<std::vector<Home>> homes() override { return recording_.homes; }
  Result<std::vector<DirectoryEntry>> list(const std::string& folder) override {
    const auto at = recording_.folders.find(folder);
    if (at == recording_.folders.end()) return missing();
    return at->second;
  }

 private:
  static Error missing() { return make_error(ErrorCode::kIo, "the recording does not hold it"); }

  template <typename T>
  Result<T> part(int pid, std::optional<T> RecordedProcess::*member) {
    const RecordedProcess* process = recording_.find(pid);
    if (process == nullptr || !(process->*member)) return missing();
    return *(process->*member);
  }
  template <typename Is>
  Result<OpenedFile> open(const Is& is) {
    const auto at = std::find_if(recording_.files.begin(), recording_.files.end(), is);
    if (at == recording_.files.end()) return missing();
    base::UniqueFd fd(::memfd_create("recorded", MFD_CLOEXEC));
    const std::string& content = at->content;
    if (fd.get() < 0 || ::pwrite(fd.get(), content.data(), content.size(), 0) !=
                            static_cast<ssize_t>(content.size()))
      return base::errno_error(errno, "memfd");
    return OpenedFile{.fd = std::move(fd),
                      .stamp = at->stamp,
                      .size = at->size,
                      .have = content.size(),
                      .how = at->how};
  }

  Recording recording_;
};

// ---- The recorder ----

class RecordingHost final : public Host {
 public:
  explicit RecordingHost(std::unique_ptr<Host> host) : host_(std::move(host)) {
    recording_.now_s = host_->now_s();
    recording_.blind_spots = host_->blind_spots();
    if (auto rules = read_runtime_rules(); rules.ok()) rules_ = std::move(*rules);
  }

  [[nodiscard]] const Recording& recording() const { return recording_; }

  [[nodiscard]] std::vector<std::string> blind_spots() const override {
    return host_->blind_spots();
  }
  [[nodiscard]] int64_t now_s() const override { return host_->now_s(); }
  Result<std::vector<Process>> processes() override {
    auto all = host_->processes();
    if (all.ok())
      for (const Process& one : *all) recording_.processes.push_back({.process = one});
    return all;
  }
  /// Of a moment, and in the recording already.
  Result<Pulse> pulse(int pid) override { return host_->pulse(pid); }
  Result<std::string> executable(int pid) override {
    return keep(pid, &RecordedProcess::executable, host_->executable(pid));
  }
  Result<std::vector<MappedFile>> mapped_files(int pid) override {
    return keep(pid, &RecordedProcess::mapped, host_->mapped_files(pid));
  }
  Result<std::vector<OpenDescriptor>> descriptors(int pid) override {
    return keep(pid, &RecordedProcess::descriptors, host_->descriptors(pid));
  }
  Result<IoCounters> io(int pid) override {
    return keep(pid, &RecordedProcess::io, host_->io(pid));
  }
  Result<Surroundings> surroundings(int pid) override {
    return keep(pid, &RecordedProcess::surroundings, host_->surroundings(pid));
  }
  Result<std::vector<Listener>> listeners() override {
    auto all = host_->listeners();
    if (all.ok()) recording_.listeners = *all;
    return all;
  }
  /// Answers are not recorded.
  Result<OpenedFile> ask(uint16_t port, std::string_view path) override {
    return host_->ask(port, path);
  }
  Result<OpenedFile> open_mapped(int pid, const MappedFile& file) override {
    return keep_file(file.id, file.path, host_->open_mapped(pid, file));
  }
  Result<OpenedFile> open_descriptor(int pid, const OpenDescriptor& descriptor) override {
    return keep_file(descriptor.id, descriptor.path, host_->open_descriptor(pid, descriptor));
  }
  Result<OpenedFile> open_file(const std::string& path) override {
    return keep_file({}, path, host_->open_file(path));
  }
  Result<OpenedFile> open_private(const std::string& path) override {
    return host_->open_private(path);
  }
  Result<std::vector<DirectoryEntry>> list_private(const std::string& folder) override {
    return host_->list_private(folder);
  }
  Result<std::vector<Home>> homes() override {
    auto all = host_->homes();
    if (all.ok()) recording_.homes = *all;
    return all;
  }
  Result<std::vector<DirectoryEntry>> list(const std::string& folder) override {
    auto all = host_->list(folder);
    if (all.ok()) recording_.folders[folder] = *all;
    return all;
  }

 private:
  template <typename T>
  Result<T> keep(int pid, std::optional<T> RecordedProcess::*member, Result<T> answer) {
    RecordedProcess* process = recording_.find(pid);
    if (answer.ok() && process != nullptr) process->*member = *answer;
    return answer;
  }

  Result<OpenedFile> keep_file(const FileId& id, const std::string& path,
                               Result<OpenedFile> opened) {
    if (!opened.ok()) return opened;
    const auto same = [&](const RecordedFile& one) {
      return id.inode != 0 ? one.id == id : one.path == path;
    };
    if (std::any_of(recording_.files.begin(), recording_.files.end(), same)) return opened;
    recording_.files.push_back({.id = id,
                                .path = path,
                                .how = opened->how,
                                .stamp = opened->stamp,
                                .size = opened->size,
                                .content = content_of(*opened)});
    return opened;
  }

  /// The front of what may be weights or a manifest; else the rules' strings that are there.
  std::string content_of(const OpenedFile& file) const {
    const format::FdSource source(file.how, file.fd.get(), file.have);
    const uint64_t most = may_hold_weights(file) ? kRecordedHeadBytesMax : kManifestBytesMax;
    if (may_hold_weights(file) || (file.size < kManifestBytesMax && !is_program(source))) {
      std::string content(std::min(file.have, most), '\0');
      if (!source.read_at(0, std::as_writable_bytes(std::span(content))).ok()) return "";
      return content;
    }
    std::string content, buffer(1u << 20, '\0');
    CodeSearch search(rules_);
    for (uint64_t at = 0; at < file.have; at += buffer.size()) {
      const auto piece = std::span(buffer).first(std::min<uint64_t>(buffer.size(), file.have - at));
      if (!source.read_at(at, std::as_writable_bytes(piece)).ok()) break;
      search.feed({piece.data(), piece.size()});
    }
    for (const std::string_view text : search.strings_found()) {
      content += text;
      content += '\0';
    }
    return content;
  }

  static bool is_program(const format::Source& source) {
    std::string head(std::min<uint64_t>(4, source.size()), '\0');
    return source.read_at(0, std::as_writable_bytes(std::span(head))).ok() && head ==
                                                                                  "\x7f"
                                                                                  "ELF";
  }

  std::unique_ptr<Host> host_;
  Recording recording_;
  std::vector<RuntimeRule> rules_;
};

}  // namespace

std::unique_ptr<Host> record(std::unique_ptr<Host> host) {
  return std::make_unique<RecordingHost>(std::move(host));
}

Status write_recording(const Host& host, const std::string& path) {
  const auto* recorder = dynamic_cast<const RecordingHost*>(&host);
  if (recorder == nullptr)
    return make_error(ErrorCode::kInvalidArgument, "{}: nothing was recorded", path);
  // It holds what other accounts' files and processes are called, and the fronts of their models.
  LANTERN_ASSIGN(base::AtomicFile file, base::AtomicFile::create(path, 0600));
  LANTERN_TRY(file.write(
      to_json(recorder->recording()).dump(-1, ' ', true, Json::error_handler_t::replace)));
  return file.commit();
}

Result<std::unique_ptr<Host>> parse_recording(std::string_view json, std::string_view what) {
  LANTERN_ASSIGN(const Json document,
                 base::parse_json(json, what, {.bytes_max = kRecordingBytesMax, .depth_max = 12}));
  try {
    auto recording = recording_from(document);
    if (!recording.ok()) return std::move(recording).error().within(what);
    return std::unique_ptr<Host>(std::make_unique<ReplayHost>(std::move(*recording)));
  } catch (const Json::exception& fault) {
    return make_error(ErrorCode::kCorrupt, "{}: no recording of a machine: {}", what, fault.what());
  }
}

Result<std::unique_ptr<Host>> open_recording(const std::string& path) {
  LANTERN_ASSIGN(const std::string text, base::read_text_file(path, kRecordingBytesMax));
  return parse_recording(text, path);
}

}  // namespace lantern::sensor
