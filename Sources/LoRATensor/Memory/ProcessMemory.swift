import CLoRASystem

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// What a process has of the machine's memory and how much it may have, as the kernel's files and its
/// limits say.
package struct ProcessMemory {
  /// What lies before `/proc` and `/sys`: nothing, but in tests.
  package var root = ""
  /// The limit of the address space.
  package var addressSpaceLimit: Int?
  /// The limit of the memory of its own.
  package var dataLimit: Int?
  /// The bytes of mapped files, which count as address space, and can be resident.
  package var mappedFileBytes = 0

  package init(
    root: String = "", addressSpaceLimit: Int? = nil, dataLimit: Int? = nil,
    mappedFileBytes: Int = 0
  ) {
    self.root = root
    self.addressSpaceLimit = addressSpaceLimit
    self.dataLimit = dataLimit
    self.mappedFileBytes = mappedFileBytes
  }

  package static var ofThisProcess: ProcessMemory {
    ProcessMemory(
      addressSpaceLimit: AvailableMemory.addressSpaceLimit, dataLimit: AvailableMemory.dataLimit,
      mappedFileBytes: lora_mapped_file_bytes())
  }

  /// The bytes that the process could have resident, what it has now included.
  package var available: Int? {
    #if os(Linux)
      guard let free = field("MemAvailable:", in: "/proc/meminfo") else { return nil }
      // Pages of files are available in any case; what lies on the heap is not.
      let own = self.own
      return ([sum(free, own)] + groupLimits(own: own) + processLimits(own: own)).min()
    #else
      var bytes: UInt64 = 0
      var size = MemoryLayout<UInt64>.size
      guard sysctlbyname("hw.memsize", &bytes, &size, nil, 0) == 0 else { return nil }
      return [Int(clamping: bytes), addressSpaceLimit, dataLimit].compactMap { $0 }.min()
    #endif
  }

  /// The bytes of address space that can still be reserved; nil without a limit.
  package var addressSpaceLeft: Int? {
    let space = addressSpaceLimit.map { $0 - (field("VmSize:", in: "/proc/self/status") ?? 0) }
    let data = dataLimit.map { $0 - (field("VmData:", in: "/proc/self/status") ?? 0) }
    return [space, data].compactMap { $0 }.min().map { max(0, $0) }
  }

  /// The bytes of memory of its own that the process has resident.
  private var own: Int { field("RssAnon:", in: "/proc/self/status") ?? 0 }

  /// What the process's own limits leave: what is reserved and can never be used for tensors, as
  /// code and stacks, is off.
  private func processLimits(own: Int) -> [Int] {
    let space = addressSpaceLimit.map { limit in
      sum(limit, own) - (field("VmSize:", in: "/proc/self/status") ?? 0) + mappedFileBytes
    }
    let data = dataLimit.map { sum($0, own) - (field("VmData:", in: "/proc/self/status") ?? 0) }
    return [space, data].compactMap { $0 }.map { max(0, $0) }
  }

  /// The sum of two numbers of bytes, which may come from anywhere.
  private func sum(_ a: Int, _ b: Int) -> Int {
    let (sum, overflows) = a.addingReportingOverflow(b)
    return overflows ? .max : sum
  }

  /// The number of kilobytes after `name` in a file of the kernel, as bytes.
  func field(_ name: String, in path: String) -> Int? {
    guard let text = contents(path) else { return nil }
    for line in text.split(separator: "\n") where line.hasPrefix(name) {
      let digits = line.dropFirst(name.count).filter(\.isNumber)
      return Int(digits).flatMap { $0 <= Int.max >> 10 ? $0 << 10 : nil }
    }
    return nil
  }

  /// The text of a file of the kernel; nil if it can't be read.
  func contents(_ path: String) -> String? {
    let descriptor = open(root + path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 1 << 14)
    while bytes.count < 1 << 22 {
      let count = read(descriptor, &part, part.count)
      if count < 0 { return nil }
      if count == 0 { break }
      bytes += part[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
