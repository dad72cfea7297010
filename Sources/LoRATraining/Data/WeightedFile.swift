/// A data file, and how often its examples are learned beside those of others.
///
/// With weight 2 every example comes twice an epoch. With 0.5 half of them come, the same ones in every epoch and
/// run: their hashes decide, see ``SplittableExample/splitKey``, so that lines that are added or moved change
/// nothing for the others. With 2.5 all come twice and half of them once more.
public struct WeightedFile: Sendable, Hashable {
  /// The path; for a safetensors file with `#` and the tensor's name, if one is meant.
  public let path: String
  /// The weight.
  public let weight: Double

  /// The greatest weight.
  public static let greatestWeight = 1000.0

  /// Creates a file with a weight. Throws ``TrainingError`` for one that is not above 0 and at most
  /// ``greatestWeight``.
  public init(_ path: String, weight: Double = 1) throws(TrainingError) {
    guard weight > 0, weight <= Self.greatestWeight else {
      throw .invalidOption(
        name: "the weight of \(path)", value: "\(weight)",
        expected: "above 0 and at most \(Int(Self.greatestWeight)); a file of no weight is left out"
      )
    }
    self.path = path
    self.weight = weight
  }

  /// How often an example with this split key comes in an epoch.
  func copies(of key: UInt64) -> Int {
    let whole = Int(weight)
    let rest = weight - Double(whole)
    guard rest > 0 else { return whole }
    // Other bits than those that a split looks at.
    let place = DataSplit.mixed(key ^ 0xd6e8_feb8_6659_fd93)
    return Double(place >> 11) * 0x1p-53 < rest ? whole + 1 : whole
  }

  func noneLeft(of count: Int) -> TrainingError {
    .invalidOption(
      name: "the weight of \(path)", value: "\(weight)",
      expected: "one that leaves an example; of its \(count) none is left")
  }
}

/// The examples of a file, or some of them.
public struct DataPart<Example: Sendable>: Sendable {
  /// The file, for errors.
  public var source: String
  /// The examples.
  public var examples: [Example]

  /// Creates a part.
  public init(source: String, examples: [Example]) {
    self.source = source
    self.examples = examples
  }
}

/// The examples of several files: those to learn from, as often as the weights of their files say, and those
/// that a split keeps to measure on, each once.
public struct DataSelection<Example: SplittableExample>: Sendable {
  /// What is learned from, file by file.
  public let training: [DataPart<Example>]
  /// What is measured on, file by file; empty without a split.
  public let validation: [DataPart<Example>]

  /// Reads `files` with `read`, and divides their examples.
  ///
  /// Throws what `read` throws, and ``TrainingError`` where a weight leaves nothing of its file, or the split
  /// nothing of a side.
  public init(
    _ files: [WeightedFile], split: DataSplit? = nil, read: (_ path: String) throws -> [Example]
  ) throws {
    var parts: [DataPart<(example: Example, key: UInt64, copies: Int)>] = []
    for file in files {
      let examples = try read(file.path)
      let chosen = examples.compactMap { example in
        let key = DataSplit.key(of: example.splitKey)
        let copies = file.copies(of: key)
        return copies > 0 ? (example: example, key: key, copies: copies) : nil
      }
      guard !chosen.isEmpty || examples.isEmpty else { throw file.noneLeft(of: examples.count) }
      parts.append(DataPart(source: file.path, examples: chosen))
    }
    let held = try split?.heldOut(
      parts.flatMap { $0.examples.map(\.key) },
      source: files.map(\.path).joined(separator: ", "))
    var index = 0
    var (training, validation) = ([DataPart<Example>](), [DataPart<Example>]())
    for part in parts {
      var (learned, kept) = ([Example](), [Example]())
      for (example, _, copies) in part.examples {
        if held?[index] ?? false {
          kept.append(example)
        } else {
          learned += repeatElement(example, count: copies)
        }
        index += 1
      }
      if !learned.isEmpty { training.append(DataPart(source: part.source, examples: learned)) }
      if !kept.isEmpty { validation.append(DataPart(source: part.source, examples: kept)) }
    }
    (self.training, self.validation) = (training, validation)
  }
}
