import CLoRASystem

/// The environment variables that this library reads: `LORA_THREADS`, the number of threads, and
/// `LORA_KERNELS`, the instruction set.
public enum EnvironmentVariables {
  /// The problems with the values in this process and the values used instead, one sentence each;
  /// empty if there are none. The library itself never prints: a program shows these.
  ///
  /// ```text
  /// LORA_THREADS is 'two'; expected a number from 1 to 256; 8 threads are used
  /// LORA_THREAD is not followed; is LORA_THREADS meant?
  /// ```
  public static var problems: [String] { problems(of: all) }

  static func problems(of variables: [(name: String, value: String)]) -> [String] {
    variables.compactMap { name, value in
      switch name {
      case "LORA_THREADS": threadsProblem(value)
      case "LORA_KERNELS": kernelsProblem(value)
      default: misspelling(name)
      }
    }
  }

  private static func threadsProblem(_ value: String) -> String? {
    let used = "\(Threads.count) \(Threads.count == 1 ? "thread is" : "threads are") used"
    // Digits that no Int can hold ask for too many, like any others above the limit.
    let isNumber = !value.isEmpty && value.utf8.allSatisfy { (0x30...0x39).contains($0) }
    let number = isNumber ? Int(value) ?? .max : 0
    if (1...256).contains(number) { return nil }
    return "LORA_THREADS is '\(shown(value))'; expected a number from 1 to 256; \(used)"
  }

  private static func kernelsProblem(_ value: String) -> String? {
    let used = "'\(KernelFamily.active.name)' is used"
    guard let family = KernelFamily.allCases.first(where: { $0.name == value }) else {
      let names = KernelFamily.allCases.filter(\.isSupported).map(\.name).joined(separator: ", ")
      return "LORA_KERNELS is '\(shown(value))'; expected one of \(names); \(used)"
    }
    return family.isSupported
      ? nil : "LORA_KERNELS is '\(value)', which this CPU does not run; \(used)"
  }

  /// What `name` probably should have been, if it is none of ours but looks like it.
  private static func misspelling(_ name: String) -> String? {
    let upper = name.uppercased()
    for known in ["LORA_THREADS", "LORA_KERNELS"] {
      let isNear = distance(upper, known) <= 2
      let core = known.dropFirst("LORA_".count).dropLast()
      if isNear || (upper.hasPrefix("LORA") && upper.contains(core)) {
        return "\(shown(name)) is not followed; is \(known) meant?"
      }
    }
    return nil
  }

  /// The first characters of what somebody wrote, without control characters.
  private static func shown(_ text: String) -> String {
    let clean = text.unicodeScalars.prefix(64).map { scalar in
      scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) ? "?" : String(scalar)
    }
    return clean.joined()
  }

  /// The environment, in its order.
  private static var all: [(name: String, value: String)] {
    var result: [(name: String, value: String)] = []
    var index = 0
    while let entry = lora_environment_entry(index) {
      let text = String(cString: entry)
      if let equals = text.firstIndex(of: "=") {
        result.append((String(text[..<equals]), String(text[text.index(after: equals)...])))
      }
      index += 1
    }
    return result
  }

  /// How many characters must be inserted, removed or replaced to turn one into the other
  /// (Levenshtein); a large number where the lengths alone say so.
  private static func distance(_ a: String, _ b: String) -> Int {
    let (a, b) = (Array(a.utf8), Array(b.utf8))
    if abs(a.count - b.count) > 2 { return .max }
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, y) in b.enumerated() {
        let next = min(row[j + 1] + 1, row[j] + 1, diagonal + (x == y ? 0 : 1))
        (diagonal, row[j + 1]) = (row[j + 1], next)
      }
    }
    return row[b.count]
  }
}
