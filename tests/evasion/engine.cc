// A program that uses a GGUF file as an engine does: looks up the keys that it needs in the header,
// then has all of its weights in memory, by a mapping or by reading them. For tests of the sensor,
// which must find it under any name.
//
//   engine map|read|open|copy|shared|memfd FILE [PORT [WAY]]
//
// open: reads it, too, and keeps it open. copy: copies it out of a mapping that is gone then, so
// that no call reads it. shared: the same into shared memory. memfd: into a file that has no name.
// WAY says how it answers on the port (0: any): as Ollama does (tags), as most do (models), as
// llama.cpp does (props), with other types (liar), with what is no HTTP (garbage), never (hang), or
// without an end (endless). Writes "ready" once the weights are there, then waits until its
// standard input ends.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

// What every engine has to look up, as the GGUF specification calls it.
constexpr const char* kKeys[] = {"general.architecture", "tokenizer.ggml.tokens",
                                 "tokenizer.ggml.model", "attention.head_count", "attn_q.weight"};

int listen_on(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int yes = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return -1;
  return ::listen(fd, 4) == 0 ? fd : -1;
}

char* map_of(int fd, size_t size, int flags) {
  const int rights = PROT_READ | ((flags & MAP_ANONYMOUS) != 0 ? PROT_WRITE : 0);
  void* mapped = ::mmap(nullptr, size, rights, flags, fd, 0);
  return mapped == MAP_FAILED ? nullptr : static_cast<char*>(mapped);
}

char* load(const char* way, int fd, size_t size) {
  const auto is = [&](const char* name) { return std::strcmp(way, name) == 0; };
  if (is("map")) return map_of(fd, size, MAP_SHARED);
  if (is("copy") || is("shared") || is("memfd")) {
    char* source = map_of(fd, size, MAP_SHARED);
    const int memory = is("memfd") ? ::memfd_create("cache", MFD_CLOEXEC) : -1;
    char* copy = nullptr;
    if (is("memfd")) {
      for (size_t at = 0; at < size;)
        at += static_cast<size_t>(::write(memory, source + at, size - at));
      copy = map_of(memory, size, MAP_SHARED);
      ::close(memory);
    } else {
      copy = map_of(-1, size, MAP_ANONYMOUS | (is("shared") ? MAP_SHARED : MAP_PRIVATE));
      std::memcpy(copy, source, size);
    }
    ::munmap(source, size);
    return copy;
  }
  char* weights = static_cast<char*>(std::malloc(size));
  for (size_t at = 0; at < size;) {
    const ssize_t n = ::read(fd, weights + at, size - at);
    if (n <= 0) return nullptr;
    at += static_cast<size_t>(n);
  }
  return weights;
}

const char* body_for(const char* way, const char* request) {
  const auto asked = [&](const char* path) {
    return std::strncmp(request + 4, path, std::strlen(path)) == 0;
  };
  if (std::strcmp(way, "tags") == 0 && asked("/api/tags"))
    return R"({"models":[{"name":"llama3.2:3b"},{"name":"b"}]})";
  if (std::strcmp(way, "models") == 0 && asked("/v1/models"))
    return R"({"object":"list","data":[{"id":"org/a-model"}]})";
  if (std::strcmp(way, "props") == 0 && asked("/props"))
    return R"({"model_path":"/srv/models/secret-plan.gguf","total_slots":1})";
  if (std::strcmp(way, "liar") == 0) return R"({"data":[{"id":5},7],"models":"x","model_path":{}})";
  return nullptr;
}

void send_text(int fd, const char* text) {
  if (::send(fd, text, std::strlen(text), MSG_NOSIGNAL) < 0) return;
}

void answer(int fd, const char* way) {
  char request[4096] = {};
  if (::recv(fd, request, sizeof request - 1, 0) < 5 || std::strcmp(way, "hang") == 0) return;
  if (std::strcmp(way, "garbage") == 0) return send_text(fd, "SSH-2.0-none\r\n");
  if (std::strcmp(way, "endless") == 0) {
    send_text(fd, "HTTP/1.1 200 OK\r\n\r\n{\"data\":[");
    while (::send(fd, "{},", 3, MSG_NOSIGNAL) == 3) ::usleep(1000);
    return;
  }
  const char* body = body_for(way, request);
  if (body == nullptr) return send_text(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  char head[128];
  std::snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\n\r\n",
                std::strlen(body));
  send_text(fd, head);
  send_text(fd, body);
}

/// Until standard input ends. Connections are never closed, as those of HTTP/1.1 are not.
void serve(int listening, const char* way) {
  for (;;) {
    pollfd waiting[] = {{.fd = 0, .events = POLLIN, .revents = 0},
                        {.fd = listening, .events = POLLIN, .revents = 0}};
    if (::poll(waiting, 2, -1) < 0) return;
    char byte = 0;
    if (waiting[0].revents != 0 && ::read(0, &byte, 1) <= 0) return;
    if (waiting[1].revents != 0) answer(::accept(listening, nullptr, nullptr), way);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const int fd = ::open(argv[2], O_RDONLY);
  struct stat info {};
  if (fd < 0 || ::fstat(fd, &info) != 0) return 1;
  const auto size = static_cast<size_t>(info.st_size);
  char* weights = load(argv[1], fd, size);
  if (weights == nullptr) return 1;
  if (std::strcmp(argv[1], "open") != 0) ::close(fd);
  int n_found = 0;
  for (const char* key : kKeys)
    n_found += ::memmem(weights, size < 65536 ? size : 65536, key, std::strlen(key)) != nullptr;
  unsigned sum = 0;
  for (size_t at = 0; at < size; at += 4096) sum += static_cast<unsigned char>(weights[at]);
  const int listening = argc > 3 ? listen_on(std::atoi(argv[3])) : -1;
  if (argc > 3 && listening < 0) return 1;
  std::printf("ready %d %u\n", n_found, sum);
  std::fflush(stdout);
  if (argc > 4) {
    serve(listening, argv[4]);
    return 0;
  }
  char byte = 0;
  while (::read(0, &byte, 1) > 0) {
  }
  return 0;
}
