import Foundation
import Testing

@testable import LoRATensor

/// What the kernel's files say of memory, made in a folder.
@Suite struct ProcessMemoryTests {
  private static let gibibyte = 1 << 30

  /// A machine with 8 GiB available, of which the process has 1 GiB of its own, and further files.
  private func machine(
    _ files: [String: String], addressSpace: Int? = nil, data: Int? = nil, mapped: Int = 0
  ) throws -> ProcessMemory {
    let root = FileManager.default.temporaryDirectory.appending(path: "lora-\(UUID().uuidString)")
    var all = [
      "/proc/meminfo": "MemTotal: 16777216 kB\nMemFree: 1 kB\nMemAvailable:    7340032 kB\n",
      "/proc/self/status":
        "Name:\tlora\nVmSize:\t 2097152 kB\nVmData:\t 1572864 kB\nRssAnon:\t 1048576 kB\n",
    ]
    all.merge(files) { $1 }
    for (path, text) in all {
      let url = root.appending(path: path)
      try FileManager.default.createDirectory(
        at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: url)
    }
    return ProcessMemory(
      root: root.path, addressSpaceLimit: addressSpace, dataLimit: data, mappedFileBytes: mapped)
  }

  @Test func withoutLimitsTheMachineCounts() throws {
    #expect(try machine([:]).available == 8 * Self.gibibyte)
    #expect(try machine(["/proc/meminfo": "nonsense\n"]).available == nil)
  }

  /// The files of a control group, and what they leave of the machine's 8 GiB.
  struct Group: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let files: [String: String]
    let available: Int
  }

  static let groups: [Group] = [
    Group(
      testDescription: "version 2, a limit of the group's own",
      files: [
        "/proc/self/cgroup": "0::/user/lora\n",
        "/sys/fs/cgroup/user/lora/memory.max": "3221225472\n",
      ], available: 3 << 30),
    Group(
      testDescription: "version 2, no limit",
      files: ["/proc/self/cgroup": "0::/a\n", "/sys/fs/cgroup/a/memory.max": "max\n"],
      available: 8 << 30),
    Group(
      testDescription: "version 2, slowed down before it is killed",
      files: [
        "/proc/self/cgroup": "0::/a\n", "/sys/fs/cgroup/a/memory.max": "4294967296\n",
        "/sys/fs/cgroup/a/memory.high": "2147483648\n",
      ], available: 2 << 30),
    Group(
      testDescription: "version 2, the group around has the lower limit",
      files: [
        "/proc/self/cgroup": "0::/a/b/c\n", "/sys/fs/cgroup/a/memory.max": "2147483648\n",
        "/sys/fs/cgroup/a/b/c/memory.max": "4294967296\n",
      ], available: 2 << 30),
    Group(
      testDescription: "version 2, others in the group have some of it",
      files: [
        "/proc/self/cgroup": "0::/a\n", "/sys/fs/cgroup/a/memory.max": "4294967296\n",
        "/sys/fs/cgroup/a/memory.stat": "file 1\nanon 2147483648\nkernel 7\n",
      ], available: 3 << 30),
    Group(
      testDescription: "version 2 in a container that sees its own group as the root",
      files: [
        "/proc/self/cgroup": "0::/docker/abc\n", "/sys/fs/cgroup/memory.max": "1073741824\n",
        "/proc/self/mountinfo":
          "31 23 0:26 /docker/abc /sys/fs/cgroup ro,nosuid shared:9 - cgroup2 cgroup2 rw\n",
      ], available: 1 << 30),
    Group(
      testDescription: "version 2, a namespace whose root is above the mount",
      files: [
        "/proc/self/cgroup": "0::/../x\n", "/sys/fs/cgroup/memory.max": "1073741824\n",
      ], available: 1 << 30),
    Group(
      testDescription: "version 2, mounted somewhere else",
      files: [
        "/proc/self/cgroup": "0::/a\n", "/groups/a/memory.max": "1073741824\n",
        "/proc/self/mountinfo": "31 23 0:26 / /groups rw - cgroup2 none rw\n",
      ], available: 1 << 30),
    Group(
      testDescription: "version 1",
      files: [
        "/proc/self/cgroup": "12:cpu,cpuacct:/z\n4:memory:/jobs/7\n1:name=systemd:/\n",
        "/sys/fs/cgroup/memory/jobs/7/memory.limit_in_bytes": "1073741824\n",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
      ], available: 1 << 30),
    Group(
      testDescription: "version 1 beside version 2",
      files: [
        "/proc/self/cgroup": "4:memory:/jobs\n0::/jobs\n",
        "/proc/self/mountinfo": """
        30 23 0:25 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
        36 23 0:31 / /sys/fs/cgroup/memory rw shared:5 - cgroup cgroup rw,memory
        """,
        "/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes": "2147483648\n",
      ], available: 2 << 30),
    Group(
      testDescription: "nonsense in every file",
      files: [
        "/proc/self/cgroup": "0::\n::::\nx\n5:memory\n0::/a\n",
        "/proc/self/mountinfo": "- - -\n\n1 2 3 4 5 6 7\n9 9 9 / /sys/fs/cgroup rw - cgroup2\n",
        "/sys/fs/cgroup/a/memory.max": "-5\n", "/sys/fs/cgroup/a/memory.high": "12 GB\n",
        "/sys/fs/cgroup/memory.max": "",
      ], available: 8 << 30),
  ]

  @Test(arguments: groups) func controlGroupsLimit(_ group: Group) throws {
    #expect(try machine(group.files).available == group.available)
  }

  @Test func theProcessLimitsItself() throws {
    // 4 GiB of address space, of which 2 are taken, 1 by what is resident.
    let four = 4 << 30
    #expect(try machine([:], addressSpace: four).available == 3 << 30)
    // A mapped model is part of what is taken, and of what a run needs.
    #expect(try machine([:], addressSpace: four, mapped: 1 << 29).available == 7 << 29)
    #expect(try machine([:], data: 2 << 30).available == 3 << 29)
    #expect(try machine([:], addressSpace: 1 << 20).available == 0)
    #expect(try machine([:], addressSpace: .max).available == 8 << 30)
    #expect(try machine([:], addressSpace: four).addressSpaceLeft == 2 << 30)
    #expect(try machine([:], addressSpace: four, data: 2 << 30).addressSpaceLeft == 1 << 29)
    #expect(try machine([:], addressSpace: 1).addressSpaceLeft == 0)
    #expect(try machine([:]).addressSpaceLeft == nil)
  }
}
