// A program that uses a GGUF file as an engine does: looks up the keys that it needs in the header,
// then has all of its weights in memory, by a mapping or by reading them. For tests of the sensor,
// which must find it under any name.
//
//   engine map|read FILE [PORT]
//
// Writes "ready" once the weights are there, then waits until its standard input ends.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
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
  return ::listen(fd, 4);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const int fd = ::open(argv[2], O_RDONLY);
  struct stat info {};
  if (fd < 0 || ::fstat(fd, &info) != 0) return 1;
  const auto size = static_cast<size_t>(info.st_size);
  char* weights = nullptr;
  if (std::strcmp(argv[1], "map") == 0) {
    void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) return 1;
    weights = static_cast<char*>(mapped);
  } else {
    weights = static_cast<char*>(std::malloc(size));
    for (size_t at = 0; at < size;) {
      const ssize_t n = ::read(fd, weights + at, size - at);
      if (n <= 0) return 1;
      at += static_cast<size_t>(n);
    }
  }
  ::close(fd);
  int n_found = 0;
  for (const char* key : kKeys)
    n_found += ::memmem(weights, size < 65536 ? size : 65536, key, std::strlen(key)) != nullptr;
  unsigned sum = 0;
  for (size_t at = 0; at < size; at += 4096) sum += static_cast<unsigned char>(weights[at]);
  if (argc > 3 && listen_on(std::atoi(argv[3])) != 0) return 1;
  std::printf("ready %d %u\n", n_found, sum);
  std::fflush(stdout);
  char byte = 0;
  while (::read(0, &byte, 1) > 0) {
  }
  return 0;
}
