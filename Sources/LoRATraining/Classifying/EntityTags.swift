/// The labels of words as the marks of entities: "B-PER" begins one of the type PER, "I-PER" goes on with it,
/// "O" is outside (BIO, IOB2).
///
/// ```swift
/// let tags = EntityTags(["O", "B-PER", "I-PER", "B-LOC"])
/// tags?.entities(in: [1, 2, 0, 3])      // PER at 0..<2, LOC at 3..<4
/// ```
///
/// Strict: an entity begins with B alone. An I that follows O, another type or nothing is part of none.
///
/// Source: Ramshaw and Marcus, *Text chunking using transformation-based learning*, 1995; the counts are
/// those of seqeval with `mode="strict", scheme=IOB2`.
public struct EntityTags: Sendable {
  /// An entity in a text.
  public struct Entity: Sendable, Hashable {
    /// The type, as "PER"; empty for a mark without one.
    public let type: String
    /// The places of its words.
    public let range: Range<Int>

    /// Creates an entity.
    public init(type: String, range: Range<Int>) {
      (self.type, self.range) = (type, range)
    }
  }

  private enum Mark {
    case outside
    case begins(String)
    case continues(String)
  }

  private let marks: [Mark]

  /// Creates a scheme of labels; nil if one of them is no such mark, or none begins an entity.
  public init?(_ labels: [String]) {
    var marks: [Mark] = []
    var hasBeginning = false
    for label in labels {
      let (mark, rest) = (label.first, label.dropFirst())
      guard rest.isEmpty || rest.first == "-" else { return nil }
      let type = String(rest.dropFirst())
      switch mark {
      case "O" where rest.isEmpty: marks.append(.outside)
      case "B":
        marks.append(.begins(type))
        hasBeginning = true
      case "I": marks.append(.continues(type))
      default: return nil
      }
    }
    guard hasBeginning else { return nil }
    self.marks = marks
  }

  /// The entities in a text, in their order; `labels` are the numbers of its words' labels.
  public func entities(in labels: [Int]) -> [Entity] {
    var result: [Entity] = []
    var open: (type: String, start: Int)?
    func close(at end: Int) {
      if let entity = open { result.append(Entity(type: entity.type, range: entity.start..<end)) }
      open = nil
    }
    for (place, label) in labels.enumerated() {
      switch marks[label] {
      case .continues(let type) where open?.type == type: break
      case .begins(let type):
        close(at: place)
        open = (type, place)
      case .continues, .outside: close(at: place)
      }
    }
    close(at: labels.count)
    return result
  }
}

/// How many entities are found, counted over all texts and types together (micro). An entity is found if
/// both its type and its words are right.
public struct EntityScores: Sendable, Hashable, Codable {
  /// The share of what was taken for entities that are some; 0 for none.
  public let precision: Double
  /// The share of the entities that were found; 0 if there are none.
  public let recall: Double
  /// The harmonic mean of both.
  public let f1: Double
  /// The number of entities that there are.
  public let count: Int

  /// What the scores are made of.
  struct Counts {
    var common = 0
    var found = 0
    var wanted = 0

    mutating func add(found: [EntityTags.Entity], wanted: [EntityTags.Entity]) {
      common += Set(found).intersection(wanted).count
      self.found += found.count
      self.wanted += wanted.count
    }
  }

  init(_ counts: Counts) {
    func share(_ part: Int, of whole: Int) -> Double {
      whole == 0 ? 0 : Double(part) / Double(whole)
    }
    precision = share(counts.common, of: counts.found)
    recall = share(counts.common, of: counts.wanted)
    f1 = share(2 * counts.common, of: counts.found + counts.wanted)
    count = counts.wanted
  }

  /// Counts the entities of texts, one after the other.
  public init(found: [[EntityTags.Entity]], wanted: [[EntityTags.Entity]]) {
    var counts = Counts()
    for (found, wanted) in zip(found, wanted) { counts.add(found: found, wanted: wanted) }
    self.init(counts)
  }
}
