import Foundation
import LoRAKit
import Workloads

/// Compares what workloads ask of memory with what is stored, or stores it. `Scripts/benchmark.sh check`
/// and `update` run this, on one thread and with the plainest vector kernels, which every machine has:
/// each thread and each family has scratch memory of its own. The counts are then the same in every run
/// and on every machine, so any difference fails, a decrease too: what is stored is what is known.
@main
struct Counts {
  static func main() throws {
    let arguments = CommandLine.arguments.dropFirst()
    guard arguments.count == 2, let command = Command(rawValue: arguments[1]) else {
      fail("usage: Counts check|update FILE", status: 64)
    }
    let file = URL(filePath: arguments[2])
    let counts = try Dictionary(
      uniqueKeysWithValues: Workload.all.filter(\.isCounted).map { ($0.name, try count($0)) })
    switch command {
    case .update:
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      try (encoder.encode(counts) + Data("\n".utf8)).write(to: file)
      print("stored the counts of \(counts.count) workloads")
    case .check:
      let stored = try JSONDecoder().decode([String: Count].self, from: Data(contentsOf: file))
      let differences = differences(of: counts, from: stored)
      for line in differences { print(line) }
      guard differences.isEmpty else {
        fail(
          "the counts differ from those in \(file.path); if that is meant, store the new ones with "
            + "Scripts/benchmark.sh update", status: 1)
      }
      print("the counts of \(counts.count) workloads are those that are stored")
    }
  }

  private enum Command: String { case check, update }

  /// Counts one iteration of a workload that has run before, so that the pool has what it needs.
  private static func count(_ workload: Workload) throws -> Count {
    let run = try workload.prepare()
    for _ in 0..<2 { try run() }
    let pool = BufferPool.shared
    pool.resetPeak()
    let before = pool.statistics
    try run()
    let after = pool.statistics
    return Count(
      allocations: after.systemAllocations + after.reuses - before.systemAllocations
        - before.reuses,
      systemAllocations: after.systemAllocations - before.systemAllocations,
      peakBytes: after.peakLiveBytes - before.liveBytes,
      keptBytes: after.liveBytes - before.liveBytes)
  }

  /// A line for each workload whose counts are not the stored ones, or are on one side only.
  private static func differences(
    of counts: [String: Count], from stored: [String: Count]
  ) -> [String] {
    Set(counts.keys).union(stored.keys).sorted().compactMap { name in
      switch (stored[name], counts[name]) {
      case (let old?, let new?):
        let parts = new.differences(from: old)
        return parts.isEmpty ? nil : "\(name): " + parts.joined(separator: ", ")
      case (nil, _): return "\(name): nothing is stored for it"
      case (_, nil): return "\(name): counts are stored, and there is no such workload"
      }
    }
  }

  private static func fail(_ message: String, status: Int32) -> Never {
    FileHandle.standardError.write(Data("error: \(message)\n".utf8))
    exit(status)
  }
}

/// What one iteration asks of the library's pool of buffers.
private struct Count: Codable {
  /// Buffers that it asks for.
  var allocations: Int
  /// Those of them that the system has to give: small ones, and what the pool can't reuse.
  var systemAllocations: Int
  /// The most bytes that buffers hold beyond those that they held before.
  var peakBytes: Int
  /// The bytes that they still hold afterwards.
  var keptBytes: Int

  func differences(from old: Count) -> [String] {
    let parts: [(name: String, count: KeyPath<Count, Int>)] = [
      ("allocations", \.allocations), ("system allocations", \.systemAllocations),
      ("peak bytes", \.peakBytes), ("kept bytes", \.keptBytes),
    ]
    return parts.compactMap { name, count in
      let (before, now) = (old[keyPath: count], self[keyPath: count])
      return before == now ? nil : "\(name) \(before) -> \(now)"
    }
  }
}
