#include "sensor/procfs_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lantern::sensor {
namespace {

TEST(ProcfsText, AProcessesNameMayHoldParenthesesAndSpaces) {
  const auto stat = parse_stat(
      "4711 (a) R 1 (b)) S 1 4711 4711 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 98765 1 2 3\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->name, "a) R 1 (b)");
  EXPECT_EQ(stat->parent, 1);
  EXPECT_EQ(stat->cpu_ticks, 300u);
  EXPECT_EQ(stat->start_ticks, 98765u);
  EXPECT_FALSE(stat->kernel_thread);
  EXPECT_TRUE(parse_stat("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 1 0 0")
                  ->kernel_thread);
}

TEST(ProcfsText, WhatIsNoStatLineIsNone) {
  for (const char* text : {"", "1 (x", "1 x) S", "1 (x) S 1", ")(",
                           "1 (x) S a 4711 4711 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 9"})
    EXPECT_FALSE(parse_stat(text)) << text;
}

TEST(ProcfsText, NumbersOfStatusAndIo) {
  const std::string_view text =
      "Name:\tVmRSS:\nUid:\t1000\t0\t0\t0\nVmRSS:\t  2048 kB\nrchar: 77\n";
  EXPECT_EQ(status_number(text, "VmRSS"), 2048u * 1024);
  EXPECT_EQ(status_number(text, "Uid"), 1000u);
  EXPECT_EQ(status_number(text, "rchar"), 77u);
  EXPECT_EQ(status_number(text, "RssAnon"), 0u);
}

TEST(ProcfsText, MapsAreSummedByFile) {
  const auto files = parse_maps(
      "55d0a0000000-55d0a0002000 r--p 00000000 08:01 11                       /usr/bin/x\n"
      "55d0a0002000-55d0a0004000 r-xp 00002000 08:01 11                       /usr/bin/x\n"
      "7f0000000000-7f0001000000 r--s 01000000 08:01 22                       /m/a b.gguf\n"
      "7f0002000000-7f0003000000 r--s 00000000 08:01 22                       /m/a b.gguf\n"
      "7f0004000000-7f0005000000 rw-p 00000000 00:00 0 \n"
      "7f0006000000-7f0007000000 rw-s 00000000 00:01 33                       /dev/zero (deleted)\n"
      "7f0008000000-7f0008001000 r--s 00000000 08:01 44                       /tmp/g\\012h "
      "(deleted)\n"
      "7ffe00000000-7ffe00021000 rw-p 00000000 00:00 0                        [stack]\n"
      "nonsense\n");
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[0].path, "/m/a b.gguf");
  EXPECT_EQ(files[0].bytes, 0x2000000u);
  EXPECT_EQ(files[0].offset, 0u);
  EXPECT_EQ(files[0].begin, 0x7f0002000000u);
  EXPECT_EQ(files[0].id, (FileId{.device = (uint64_t{8} << 32) | 1, .inode = 22}));
  EXPECT_FALSE(files[0].executable);
  EXPECT_EQ(files[1].path, "/usr/bin/x");
  EXPECT_TRUE(files[1].executable);
  EXPECT_EQ(files[2].path, "/tmp/g\nh");
  EXPECT_TRUE(files[2].deleted);
}

TEST(ProcfsText, ListeningSocketsAlone) {
  const auto listeners = parse_tcp(
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
      "inode\n"
      "   0: 0100007F:2CAA 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 "
      "777 1\n"
      "   1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 "
      "888 1\n"
      "   2: 0100007F:D431 0100007F:2CAA 01 00000000:00000000 00:00000000 00000000  1000        0 "
      "999 1\n"
      "   3: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A "
      "00000000:00000000 00:00000000 00000000     0        0 555 1\n");
  ASSERT_EQ(listeners.size(), 3u);
  EXPECT_EQ(listeners[0].port, 11434);
  EXPECT_TRUE(listeners[0].loopback);
  EXPECT_EQ(listeners[0].socket_inode, 777u);
  EXPECT_EQ(listeners[1].port, 8080);
  EXPECT_FALSE(listeners[1].loopback);
  EXPECT_EQ(listeners[2].port, 80);
  EXPECT_TRUE(listeners[2].loopback);
}

TEST(ProcfsText, TheControlGroup) {
  EXPECT_EQ(parse_cgroup("0::/user.slice/session-1.scope\n"), "/user.slice/session-1.scope");
  EXPECT_EQ(parse_cgroup("12:cpu:/\n1:name=systemd:/docker/abc\n"), "/docker/abc");
  EXPECT_EQ(parse_cgroup("junk"), "");
}

// The forms of the kernel's Documentation/gpu/drm-usage-stats.rst, as amdgpu, i915 and panfrost
// write them.
TEST(ProcfsText, DrmUse) {
  const auto amd = parse_drm_fdinfo(
      "pos:\t0\nflags:\t02100002\nmnt_id:\t26\nino:\t1\ndrm-driver:\tamdgpu\n"
      "drm-client-id:\t17\ndrm-pdev:\t0000:03:00.0\npasid:\t32771\n"
      "drm-memory-vram:\t4194304 KiB\ndrm-memory-gtt: \t2048 KiB\ndrm-memory-cpu: \t0 KiB\n"
      "drm-engine-gfx:\t1000000 ns\ndrm-engine-compute:\t2000000000 ns\n");
  ASSERT_TRUE(amd);
  EXPECT_EQ(amd->driver, "amdgpu");
  EXPECT_EQ(amd->memory_bytes, (uint64_t{4} << 30) + (2u << 20));
  EXPECT_EQ(amd->engine_ns, 2'001'000'000u);
  // Resident regions count once, though the older key stands beside them.
  const auto intel = parse_drm_fdinfo(
      "drm-driver: i915\ndrm-client-id: 7\ndrm-engine-render: 25662044495 ns\n"
      "drm-engine-capacity-video: 2\ndrm-engine-video: 5 ns\n"
      "drm-total-local0: 300 MiB\ndrm-resident-local0: 200 MiB\ndrm-memory-local0: 200 MiB\n"
      "drm-resident-system0: 17\ndrm-cycles-gfx: 1234\n");
  ASSERT_TRUE(intel);
  EXPECT_EQ(intel->memory_bytes, (200u << 20) + 17);
  EXPECT_EQ(intel->engine_ns, 25'662'044'500u);

  EXPECT_FALSE(parse_drm_fdinfo("pos:\t0\nflags:\t0100002\nmnt_id:\t15\n"));
  EXPECT_FALSE(parse_drm_fdinfo(""));
  const auto hostile = parse_drm_fdinfo(
      "drm-driver: x\ndrm-memory-a: 99999999999999999999 KiB\ndrm-memory-b: -1 KiB\n"
      "drm-memory-c: 18446744073709551615\ndrm-memory-d: 18446744073709551615\n"
      "drm-memory-e: 4 GiB\ndrm-engine-z: 7 s\ndrm-engine-\ndrm-");
  ASSERT_TRUE(hostile);
  EXPECT_EQ(hostile->memory_bytes, UINT64_MAX);
  EXPECT_EQ(hostile->engine_ns, 0u);
}

TEST(ProcfsText, MapsMayComeInAnyPieces) {
  const std::string text =
      "55d0a0000000-55d0a0002000 r--p 00000000 08:01 11                       /usr/bin/x\n"
      "55d0a0002000-55d0a0004000 r-xp 00002000 08:01 11                       /usr/bin/x\n"
      "7f0000000000-7f0001000000 r--s 01000000 08:01 22                       /m/a b.gguf";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    MapsSummary summary;
    for (size_t at = 0; at < text.size(); at += piece)
      summary.feed(std::string_view(text).substr(at, piece));
    const auto files = summary.finish();
    ASSERT_EQ(files.size(), 2u) << piece;
    EXPECT_EQ(files[0].path, "/m/a b.gguf");
    EXPECT_EQ(files[1].bytes, 0x4000u);
    EXPECT_TRUE(files[1].executable);
  }
}

TEST(ProcfsText, AnImageIsOfAProgramAndSizesAreOfTheProcess) {
  const std::string head = "7 (x) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 98765 ";
  const std::string tail = " 3 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 ";
  const auto of = [&](const std::string& text) { return parse_stat(text); };
  const std::string numbers = "7000000 250 18446744073709551615 11 12 13";
  const auto one = of(head + numbers + tail + "21 22 23 24 25 26 27 0\n");
  ASSERT_TRUE(one);
  EXPECT_EQ(one->mapped_bytes, 7'000'000u);
  EXPECT_EQ(one->resident_pages, 250u);
  EXPECT_EQ(one->image, of(head + numbers + tail + "21 22 23 24 25 26 27 0\n")->image);
  EXPECT_NE(one->image, of(head + numbers + tail + "31 22 23 24 25 26 27 0\n")->image);
  EXPECT_NE(one->image,
            of(head + "7000000 250 18446744073709551615 11 12 14" + tail + "21 22 23 24\n")->image);
  EXPECT_EQ(of(head + "7000000 -3 0 0 0 0\n")->resident_pages, 0u);
}

}  // namespace
}  // namespace lantern::sensor
