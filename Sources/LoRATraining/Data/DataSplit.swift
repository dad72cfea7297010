import LoRATemplates

/// Which examples are kept from training to measure on, decided by what they say.
///
/// ```swift
/// let split = try DataSplit("5%")
/// let (training, validation) = try split.divide(try LabelledText.read("intents.jsonl"))
/// ```
///
/// An example's side depends on the hash of its ``SplittableExample/splitKey`` and the seed: not on its place in
/// the file. Examples with one key, as answers to one prompt, are on one side, so that none is measured that was
/// learned. A share is also independent of other examples: a file that grows keeps the sides of its lines. A count
/// is not: it takes the examples with the lowest hashes, and new ones may have lower ones.
///
/// Cost: a pass over the keys; for a count a sort of them.
public struct DataSplit: Sendable, Hashable {
  /// How much is kept.
  public enum Size: Sendable, Hashable {
    /// A part of the examples, above 0 and below 1; about as many as that is.
    case fraction(Double)
    /// A number of examples, or a few more where the last ones belong together.
    case count(Int)
  }

  /// How much is kept.
  public let size: Size
  /// What decides which ones.
  public let seed: UInt64

  /// Creates a split. Throws ``TrainingError`` for a part that is not above 0 and below 1, and a count below 1.
  public init(_ size: Size, seed: UInt64 = 0) throws(TrainingError) {
    switch size {
    case .fraction(let part) where !(part > 0 && part < 1): throw Self.wrong("\(part)")
    case .count(let count) where count < 1: throw Self.wrong("\(count)")
    default: break
    }
    self.size = size
    self.seed = seed
  }

  /// Creates a split of "5%" of the examples, or of "200" of them.
  public init(_ text: String, seed: UInt64 = 0) throws(TrainingError) {
    if text.hasSuffix("%"), let percent = Double(text.dropLast()), percent > 0, percent < 100 {
      try self.init(.fraction(percent / 100), seed: seed)
    } else if let count = Int(text), count > 0 {
      try self.init(.count(count), seed: seed)
    } else {
      throw Self.wrong(text)
    }
  }

  private static func wrong(_ value: String) -> TrainingError {
    .invalidOption(
      name: "the size of the validation set", value: "'\(value)'",
      expected: "a share above 0 % and below 100 %, as 5%, or a number of examples, as 200")
  }

  /// The examples to learn from and those to measure on, each in their order.
  ///
  /// Throws ``TrainingError/emptySplit(source:examples:groups:held:)`` if there would be none on one of the sides;
  /// `source` is where they come from, for that.
  public func divide<Example: SplittableExample>(
    _ examples: [Example], source: String = "the examples"
  ) throws(TrainingError) -> (training: [Example], validation: [Example]) {
    let held = try heldOut(examples.map { Self.key(of: $0.splitKey) }, source: source)
    return (
      zip(examples, held).filter { !$0.1 }.map(\.0), zip(examples, held).filter(\.1).map(\.0)
    )
  }
}

/// An example of which a ``DataSplit`` tells which others it belongs together with.
public protocol SplittableExample: Sendable {
  /// What examples have in common that belong together: a prompt, a text. Neither case nor white space tell two
  /// keys apart.
  var splitKey: String { get }
}

extension DataSplit {
  /// Whether each of the examples with these keys is kept from training. Throws if one side would be empty.
  func heldOut(_ keys: some Collection<UInt64>, source: String) throws(TrainingError) -> [Bool] {
    let seed = Self.mixed(seed &+ 0x9e37_79b9_7f4a_7c15)
    let places = keys.lazy.map { Self.mixed($0 ^ seed) }
    let limit: UInt64
    switch size {
    case .fraction(let part):
      limit = UInt64(exactly: (part * 0x1p64).rounded(.down)) ?? .max
    case .count(let count):
      // The least place that `count` examples lie below.
      let sorted = places.sorted()
      limit = count < sorted.count ? sorted[count - 1] &+ 1 : .max
    }
    let held = Array(places.map { $0 < limit })
    let count = held.count { $0 }
    guard count > 0, count < keys.count else {
      throw .emptySplit(
        source: source, examples: keys.count, groups: Set(keys).count, held: count)
    }
    return held
  }

  /// The hash of a key: of its words in small letters, with one space between two.
  static func key(of text: String) -> UInt64 {
    var folded: [UInt8] = []
    folded.reserveCapacity(text.utf8.count)
    var isGap = false
    for scalar in text.unicodeScalars {
      if scalar.properties.isWhitespace {
        isGap = !folded.isEmpty
        continue
      }
      if isGap { folded.append(0x20) }
      isGap = false
      switch scalar.value {
      case 0x41...0x5a: folded.append(UInt8(scalar.value | 0x20))
      case ..<0x80: folded.append(UInt8(scalar.value))
      default: folded.append(contentsOf: scalar.properties.lowercaseMapping.utf8)
      }
    }
    return key(of: folded)
  }

  /// The hash of token ids.
  static func key(of ids: some Sequence<Int64>) -> UInt64 {
    var hash = ContentHash()
    for id in ids { hash.combine(UInt64(bitPattern: id)) }
    return hash.value
  }

  private static func key(of bytes: [UInt8]) -> UInt64 {
    var hash = ContentHash()
    bytes.withUnsafeBytes { hash.combine($0) }
    return hash.value
  }

  /// Every bit depends on every bit: the last step of SplitMix64.
  static func mixed(_ word: UInt64) -> UInt64 {
    var word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
    return word ^ (word >> 31)
  }
}

extension LabelledText: SplittableExample {
  /// The text: pairs with one first text belong together.
  public var splitKey: String { text }
}

extension TaggedText: SplittableExample {
  /// The text.
  public var splitKey: String {
    switch content {
    case .words(let words): words.joined(separator: " ")
    case .text(let text): text
    }
  }
}

extension DataRecord.Content: SplittableExample {
  /// What is asked first: a prompt, or the user's first message of a conversation; a text, or token ids, as a
  /// whole.
  public var splitKey: String {
    switch self {
    case .text(let text): text
    case .pair(let pair):
      pair.prompt.allSatisfy(\.isWhitespace) ? pair.completion : pair.prompt
    case .chat(let chat): chat.messages.splitKey
    case .instruction(let instruction): instruction.chat.messages.splitKey
    case .tokens(let ids): ids.map { "\($0)" }.joined(separator: " ")
    }
  }
}

extension [TemplateValue] {
  /// What the user says first in these messages; without such a message all of them.
  var splitKey: String {
    let first = first { $0["role"] == "user" }.map(\.messageText) ?? ""
    return first.allSatisfy(\.isWhitespace)
      ? map(\.messageText).joined(separator: "\n") : first
  }
}
