#include "sensor/container.h"

#include <gtest/gtest.h>

namespace lantern::sensor {
namespace {

const std::string kNumber(64, 'a');

std::string shown_container(const std::string& cgroup) {
  const auto found = container_of(cgroup);
  return found ? found->engine + " " + found->id : "";
}

// The names that each engine documents or writes, of both cgroup drivers.
TEST(ContainerTest, KnowsEachEnginesGroups) {
  const std::string id = " aaaaaaaaaaaa";
  EXPECT_EQ(shown_container("/system.slice/docker-" + kNumber + ".scope"), "docker" + id);
  EXPECT_EQ(shown_container("/docker/" + kNumber), "docker" + id);
  EXPECT_EQ(shown_container("/docker/" + kNumber + "/init.scope"), "docker" + id);
  EXPECT_EQ(shown_container("/machine.slice/libpod-" + kNumber + ".scope/container"),
            "podman" + id);
  EXPECT_EQ(shown_container("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" +
                            kNumber + ".scope"),
            "podman" + id);
  EXPECT_EQ(shown_container("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2."
                            "slice/cri-containerd-" +
                            kNumber + ".scope"),
            "kubernetes" + id);
  EXPECT_EQ(shown_container("/kubepods/besteffort/pod12-34/" + kNumber), "kubernetes" + id);
  EXPECT_EQ(shown_container("/kubepods.slice/kubepods-pod1.slice/crio-" + kNumber + ".scope"),
            "kubernetes" + id);
  EXPECT_EQ(shown_container("/lxc/web"), "lxc web");
  EXPECT_EQ(shown_container("/lxc.payload.web/system.slice/x.service"), "lxc web");
  EXPECT_EQ(shown_container("/machine.slice/machine-my\\x2dbox.scope/payload"),
            "systemd-nspawn my-box");
  EXPECT_EQ(shown_container("/machine.slice/systemd-nspawn@box.service/payload"),
            "systemd-nspawn box");
  EXPECT_EQ(shown_container("/user.slice/user-1000.slice/user@1000.service/app.slice/"
                            "app-flatpak-io.gpt4all.gpt4all-4711.scope"),
            "flatpak io.gpt4all.gpt4all-4711");
  EXPECT_EQ(shown_container("/user.slice/user-1000.slice/snap.ollama.ollama-1.scope"),
            "snap ollama.ollama-1");
}

TEST(ContainerTest, OtherGroupsAreNone) {
  for (const std::string cgroup :
       {"", "/", "/init.scope", "/user.slice/user-0.slice/session-1.scope",
        "/system.slice/docker.service", "/system.slice/docker-short.scope",
        "/system.slice/libpod-conmon-x.scope", "/docker", "/lxc", "/machine.slice",
        "/kubepods/besteffort/pod1", "/system.slice/containerd.service"})
    EXPECT_EQ(shown_container(cgroup), "") << cgroup;
}

TEST(ContainerTest, TheInnermostIsNamedAndIsPrintable) {
  EXPECT_EQ(shown_container("/docker/" + kNumber + "/docker/" + std::string(64, 'b')),
            "docker bbbbbbbbbbbb");
  EXPECT_EQ(shown_container("/lxc/a\x1b[2J").find('\x1b'), std::string::npos);
  EXPECT_LE(shown_container("/lxc/" + std::string(4000, 'x')).size(), 80u);
}

}  // namespace
}  // namespace lantern::sensor
