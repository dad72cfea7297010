#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// What the machine can still give this process.
public enum AvailableMemory {
  /// The bytes that this process could have resident, what it has now included; nil if the system
  /// does not say. On Linux the least of what the machine has available and of the limits of the
  /// control groups that the process is in; elsewhere the machine's memory.
  public static var current: Int? {
    #if os(Linux)
      guard let free = field("MemAvailable:", in: "/proc/meminfo") else { return nil }
      // Pages of files are available in any case; what lies on the heap is not.
      let machine = free + (field("RssAnon:", in: "/proc/self/status") ?? 0)
      return controlGroupLimits.reduce(machine, min)
    #else
      var bytes: UInt64 = 0
      var size = MemoryLayout<UInt64>.size
      guard sysctlbyname("hw.memsize", &bytes, &size, nil, 0) == 0 else { return nil }
      return Int(clamping: bytes)
    #endif
  }

  #if os(Linux)
    /// The limits of the process's control group and of those around it, of either version.
    private static var controlGroupLimits: [Int] {
      guard let text = contents("/proc/self/cgroup") else { return [] }
      var limits: [Int] = []
      for line in text.split(separator: "\n") {
        let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3 else { continue }
        let isSecond = parts[0] == "0" && parts[1].isEmpty
        guard isSecond || parts[1].split(separator: ",").contains("memory") else { continue }
        let (root, name) =
          isSecond
          ? ("/sys/fs/cgroup", "memory.max")
          : ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        var folders = parts[2].split(separator: "/")
        // In a container the group itself may be what is mounted as the root.
        while true {
          let path = ([root] + folders.map(String.init) + [name]).joined(separator: "/")
          if let text = contents(path), let limit = Int(text.filter { !$0.isWhitespace }) {
            limits.append(limit)
          }
          if folders.popLast() == nil { break }
        }
      }
      return limits
    }

    /// The number of kilobytes after `name` in a file of the kernel, as bytes.
    private static func field(_ name: String, in path: String) -> Int? {
      guard let text = contents(path) else { return nil }
      for line in text.split(separator: "\n") where line.hasPrefix(name) {
        return Int(line.dropFirst(name.count).filter(\.isNumber)).map { $0 << 10 }
      }
      return nil
    }

    private static func contents(_ path: String) -> String? {
      guard let file = fopen(path, "r") else { return nil }
      defer { fclose(file) }
      var bytes = [UInt8](repeating: 0, count: 1 << 16)
      let count = fread(&bytes, 1, bytes.count, file)
      return String(decoding: bytes.prefix(count), as: UTF8.self)
    }
  #endif
}
