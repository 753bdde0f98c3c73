// A machine as the sensor sees it: processes, what they have mapped and opened, what listens, and
// files. Three machines are behind it: the real one (procfs_host.h), one that was recorded
// (recording.h), and one on which nothing runs (no_host.h).
//
// Every answer is of a moment: a process may end between two calls (kNotFound), and may not be
// ours to look at (kIo). Names are hostile bytes, to be shown through base::printable(). Nothing
// here writes to a process, stops one, or reads memory that is not a file's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "sensor/command_line.h"
#include "sensor/process_events.h"

namespace lantern::sensor {

struct Process {
  int pid = 0;
  int parent = 0;
  uint64_t start_ticks = 0;  // since boot: with `pid` the process's identity
  int64_t started_at_s = 0;  // since 1970
  uint32_t uid = 0;
  std::string name = {};  // comm, at most 15 bytes, which the process may set
  CommandLine command = {};
  std::string cgroup = {};
  uint64_t resident_bytes = 0;
  uint64_t anonymous_bytes = 0;  // resident, of no file, shared memory and huge pages among them
  double cpu_s = 0;
  bool own = false;          // this very process
  bool own_program = false;  // it runs the file that this process runs, or one in its place
};

/// What tells cheaply whether a process deserves another look.
struct Pulse {
  int pid = 0;
  uint64_t start_ticks = 0;
  /// Differs once the process executes another program, as far as this account may see that.
  uint64_t image = 0;
  uint64_t resident_bytes = 0;  // as the kernel counts in passing, some pages wrong
  uint64_t mapped_bytes = 0;    // addresses in use, touched or not
};

/// A file as the kernel tells one from another.
struct FileId {
  uint64_t device = 0, inode = 0;
  auto operator<=>(const FileId&) const = default;
};

/// All mappings of one file in one process.
struct MappedFile {
  FileId id = {};
  std::string path = {};  // in the process's own view of the file system
  bool deleted = false;
  bool executable = false;                  // a part of it can be run
  uint64_t bytes = 0;                       // of all its mappings
  uint64_t begin = 0, end = 0, offset = 0;  // of the mapping nearest to the file's front
};

/// What a graphics or accelerator driver says of one open handle of its device.
struct DrmUse {
  std::string driver = {};
  uint64_t memory_bytes = 0;  // in all its regions, resident where that is told
  uint64_t engine_ns = 0;     // that its engines have worked for it
  bool operator==(const DrmUse&) const = default;
};

struct OpenDescriptor {
  int fd = -1;
  std::string path = {};  // "/dev/nvidia0", "socket:[123]"
  bool deleted = false;
  bool regular = false;
  FileId id = {};
  uint64_t size = 0;  // of a regular file
  std::optional<DrmUse> drm = {};
};

struct IoCounters {
  uint64_t read_chars = 0;  // by system calls, from disk or cache
  uint64_t read_bytes = 0;  // from disk
};

struct Listener {
  uint16_t port = 0;
  bool loopback = false;  // reachable from this machine alone
  uint64_t socket_inode = 0;
  bool own_network = true;  // in the sensor's own network namespace, so that it can be asked
};

/// What a process sees of the machine where that is not what the sensor sees.
struct Surroundings {
  std::vector<std::string> namespaces = {};  // that differ: "mnt", "net", "pid", "user"
  std::optional<uint32_t> owner = {};        // the account whose user namespace it is in
};

/// A regular file, opened to be read. `have`: how much of its front can be: of a mapping that was
/// read through memory, and of a recorded file, that is less than `size`.
struct OpenedFile {
  base::UniqueFd fd = {};
  base::FileStamp stamp = {};  // of `fd`; all 0 where it is not the file itself
  uint64_t size = 0;
  uint64_t have = 0;
  std::string how = {};  // where it was read: "/proc/12/map_files/..."
};

struct DirectoryEntry {
  std::string name = {};
  bool folder = false;
  bool regular = false;
  uint64_t size = 0;
  FileId id = {};
  std::string link = {};  // of a link: where it leads
};

/// An account whose home may hold models.
struct Home {
  uint32_t uid = 0;
  std::string path = {};
};

class Host {
 public:
  virtual ~Host() = default;

  /// What cannot be seen on this machine as things are, a line each for a person; empty: nothing.
  [[nodiscard]] virtual std::vector<std::string> blind_spots() const = 0;
  [[nodiscard]] virtual int64_t now_s() const = 0;  // since 1970
  /// With a process's number and start its identity, on this machine and over its restarts.
  [[nodiscard]] virtual std::string boot_id() const { return ""; }
  /// All processes but the kernel's own; one that ends meanwhile is left out.
  virtual Result<std::vector<Process>> processes() = 0;
  /// One of them. kNotFound.
  virtual Result<Process> process(int pid);
  /// All of processes(), each by one read; sorted by number.
  virtual Result<std::vector<Pulse>> pulses();
  /// kNotFound.
  virtual Result<Pulse> pulse(int pid);
  /// Programs as they are started. kUnsupported where nothing tells; open_proc_connector()'s.
  virtual Result<std::unique_ptr<ProcessEvents>> process_events();
  virtual Result<std::string> executable(int pid) = 0;  // its path, " (deleted)" behind it or not
  virtual Result<std::vector<MappedFile>> mapped_files(int pid) = 0;
  virtual Result<std::vector<OpenDescriptor>> descriptors(int pid) = 0;
  virtual Result<IoCounters> io(int pid) = 0;
  virtual Result<Surroundings> surroundings(int pid) = 0;
  /// In every network namespace of the processes that may be seen.
  virtual Result<std::vector<Listener>> listeners() = 0;

  /// What a listener on this machine's loopback answers to an HTTP GET, its body alone, in a file
  /// of its own. Whoever asks so may be seen doing it. kCorrupt for an answer of another status;
  /// with any other error the next question would have no answer either.
  virtual Result<OpenedFile> ask(uint16_t port, std::string_view path) = 0;

  virtual Result<OpenedFile> open_mapped(int pid, const MappedFile& file) = 0;
  virtual Result<OpenedFile> open_descriptor(int pid, const OpenDescriptor& descriptor) = 0;

  virtual Result<std::vector<Home>> homes() = 0;
  /// Sorted by name; links are neither folder nor regular. kTooLarge past 100,000 entries.
  virtual Result<std::vector<DirectoryEntry>> list(const std::string& folder) = 0;
  virtual Result<OpenedFile> open_file(const std::string& path) = 0;
  /// The same for a text that may hold passwords and keys: no recording keeps it, nor what
  /// list_private() answers.
  virtual Result<OpenedFile> open_private(const std::string& path) { return open_file(path); }
  /// list() of a folder whose names are its owner's alone.
  virtual Result<std::vector<DirectoryEntry>> list_private(const std::string& folder) {
    return list(folder);
  }
};

}  // namespace lantern::sensor
