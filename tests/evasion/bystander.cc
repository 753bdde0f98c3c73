// A program that is no AI and does some of what AI does: maps large files, or reads them, holds
// memory, listens on a port that a runtime is known by.
//
//   bystander map|read|open FILE [PORT]
//
// Writes "ready", then waits until its standard input ends.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const int fd = ::open(argv[2], O_RDONLY);
  struct stat info {};
  if (fd < 0 || ::fstat(fd, &info) != 0) return 1;
  const auto size = static_cast<size_t>(info.st_size);
  if (std::strcmp(argv[1], "map") == 0) {
    if (::mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0) == MAP_FAILED) return 1;
  } else {
    char* bytes = static_cast<char*>(std::malloc(size));
    if (::read(fd, bytes, size) < 0) return 1;
  }
  if (std::strcmp(argv[1], "open") != 0) ::close(fd);
  if (argc > 3) {
    const int listening = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<unsigned short>(std::atoi(argv[3])));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(listening, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listening, 4) != 0)
      return 1;
  }
  std::printf("ready\n");
  std::fflush(stdout);
  char byte = 0;
  while (::read(0, &byte, 1) > 0) {
  }
  return 0;
}
