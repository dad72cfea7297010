import Foundation
import LoRAFiles
import LoRAJSON
import LoRATensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// What a measurement says about the machine that it ran on.
enum Machine {
  /// The kernels in use: the library's own, and those that OpenBLAS chose.
  static var kernels: String {
    "\(KernelFamily.active.name), OpenBLAS \(MatrixEngine.openBLASCore)"
  }

  /// The machine and the versions, as names and texts.
  static var description: [(name: String, value: String)] {
    var entries = [("lora", Version.current)]
    if let processor { entries.append(("processor", processor)) }
    return entries + [
      ("threads", "\(Threads.count)"), ("kernels", kernels), ("system", system),
    ]
  }

  /// What the processor calls itself, where the system says it.
  private static var processor: String? {
    #if os(Linux)
      let text = (try? FileSystem.readText("/proc/cpuinfo")) ?? ""
      let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
      return line?.split(separator: ":", maxSplits: 1).last.map {
        String($0).trimmingCharacters(in: .whitespaces)
      }
    #else
      var size = 0
      guard sysctlbyname("machdep.cpu.brand_string", nil, &size, nil, 0) == 0, size > 1 else {
        return nil
      }
      var name = [CChar](repeating: 0, count: size)
      sysctlbyname("machdep.cpu.brand_string", &name, &size, nil, 0)
      return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    #endif
  }

  /// The system's name and its instruction set; not the machine's name.
  private static var system: String {
    var names = utsname()
    guard uname(&names) == 0 else { return "unknown" }
    func text(_ bytes: some Any) -> String {
      withUnsafeBytes(of: bytes) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
    return "\(text(names.sysname)) \(text(names.release)), \(text(names.machine))"
  }

  /// The most memory that this process had resident, mapped files included, in bytes.
  static var peakResidentBytes: Int {
    var usage = rusage()
    #if os(Linux)
      // The kernel's own high-water mark; getrusage's survives an exec of a larger parent.
      if let file = fopen("/proc/self/status", "r") {
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, Int32(line.count), file) != nil {
          let text = line.withUnsafeBytes { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
          }
          guard text.hasPrefix("VmHWM:") else { continue }
          if let kilobytes = Int(text.filter(\.isNumber)) { return kilobytes * 1024 }
        }
      }
      getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
      return usage.ru_maxrss * 1024
    #else
      getrusage(RUSAGE_SELF, &usage)
      return usage.ru_maxrss
    #endif
  }
}

extension Machine {
  /// Today in UTC, as in "2026-12-01"; the day that `SOURCE_DATE_EPOCH` says where that is set, so that
  /// files can be made again byte for byte.
  static var date: String {
    var seconds = time(nil)
    if let text = getenv("SOURCE_DATE_EPOCH"), let given = time_t(String(cString: text)) {
      seconds = given
    }
    var parts = tm()
    gmtime_r(&seconds, &parts)
    func digits(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(parts.tm_year + 1900)-\(digits(parts.tm_mon + 1))-\(digits(parts.tm_mday))"
  }
}

/// The middle one of `values`, or the mean of the two middle ones; 0 of none.
func median(_ values: [Double]) -> Double {
  if values.isEmpty { return 0 }
  let sorted = values.sorted()
  let middle = sorted.count / 2
  return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

extension Duration {
  /// This time in seconds.
  var seconds: Double { self / .seconds(1) }
}
