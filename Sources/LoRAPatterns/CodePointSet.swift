/// A set of code points: of general categories, of white space or not, and of ranges.
struct CodePointSet: Sendable, Hashable {
  /// How `(?i)` compares, beyond what ``ignoreCase()`` inserts.
  enum Folding: Sendable { case none, python, pythonASCII }

  private(set) var categories: UInt32 = 0
  private var hasWhiteSpace = false
  private var hasOthers = false
  private var ranges: [ClosedRange<UInt32>] = []
  /// Ranges of a class such as `\S`, to which ``Folding`` does not apply.
  private var classRanges: [ClosedRange<UInt32>] = []
  private var isNegated = false
  private var folding = Folding.none
  private var asciiLow: UInt64 = 0
  private var asciiHigh: UInt64 = 0

  init() {}

  init(_ codes: UInt32...) {
    for code in codes { insert(code...code) }
    finish()
  }

  mutating func insert(_ range: ClosedRange<UInt32>) { ranges.append(range) }
  mutating func insert(_ code: UInt32) { ranges.append(code...code) }
  mutating func insert(categories mask: UInt32) { categories |= mask }
  mutating func insertWhiteSpace(_ isWhiteSpace: Bool) {
    if isWhiteSpace { hasWhiteSpace = true } else { hasOthers = true }
  }

  /// Inserts a class of ascending ranges, or all that is in none of them.
  mutating func insert(class members: [ClosedRange<UInt32>], isComplement: Bool = false) {
    guard isComplement else {
      classRanges += members
      return
    }
    var next: UInt32 = 0
    for range in members {
      if range.lowerBound > next { classRanges.append(next...range.lowerBound - 1) }
      next = range.upperBound + 1
    }
    classRanges.append(next...0x10FFFF)
  }

  /// Inserts what `other`, which is not finished, holds.
  mutating func formUnion(_ other: CodePointSet) {
    categories |= other.categories
    hasWhiteSpace = hasWhiteSpace || other.hasWhiteSpace
    hasOthers = hasOthers || other.hasOthers
    ranges += other.ranges
    classRanges += other.classRanges
  }

  /// Adds the other case of what was inserted; false where that is more than letters of ASCII.
  mutating func ignoreCase() -> Bool {
    guard categories == 0 else { return false }
    for range in ranges {
      for code in range.clamped(to: 0...0x7F) where range.lowerBound <= 0x7F {
        guard let scalar = Unicode.Scalar(code), scalar.properties.isAlphabetic else { continue }
        ranges.append(code ^ 0x20...code ^ 0x20)
        // The long s and the Kelvin sign fold to letters of ASCII.
        if code | 0x20 == 0x73 { ranges.append(0x17F...0x17F) }
        if code | 0x20 == 0x6B { ranges.append(0x212A...0x212A) }
      }
      guard range.upperBound <= 0x7F else { return false }
    }
    return true
  }

  /// To be called once after the insertions.
  mutating func finish(negated: Bool = false, folding: Folding = .none) {
    isNegated = negated
    self.folding = folding
    for code in UInt32(0)..<64 where computed(code) { asciiLow |= 1 << UInt64(code) }
    for code in UInt32(64)..<128 where computed(code) { asciiHigh |= 1 << UInt64(code - 64) }
  }

  @inline(__always)
  func contains(_ code: UInt32) -> Bool {
    if code < 64 { return asciiLow >> UInt64(code) & 1 == 1 }
    if code < 128 { return asciiHigh >> UInt64(code - 64) & 1 == 1 }
    return computed(code)
  }

  /// Everything but the line feed, as "." is read.
  var isDot: Bool {
    isNegated && ranges == [0x0A...0x0A] && classRanges.isEmpty && plainRanges != nil
  }

  /// The members as ascending, disjoint ranges without surrogates; nil where categories or cases
  /// decide, which have to be asked code point by code point.
  var plainRanges: [ClosedRange<UInt32>]? {
    guard categories == 0, !hasWhiteSpace, !hasOthers, folding != .python else { return nil }
    if folding == .pythonASCII {
      // Only letters of ASCII have a second case there.
      var plain = self
      plain.folding = .none
      guard let ranges = plain.plainRanges else { return nil }
      let ascii = (UInt32(0)..<0x80).filter(contains).map { $0...$0 }
      let others = ranges.filter { $0.upperBound >= 0x80 }
      return ascii + others.map { max($0.lowerBound, 0x80)...$0.upperBound }
    }
    let surrogates: ClosedRange<UInt32> = 0xD800...0xDFFF
    var members = ranges + classRanges
    if isNegated { members.append(surrogates) }
    members.sort { $0.lowerBound < $1.lowerBound }
    var result: [ClosedRange<UInt32>] = []
    func append(_ low: UInt32, _ high: UInt32) {
      if low <= high { result.append(low...high) }
    }
    var next: UInt32 = 0
    for range in members where range.upperBound >= next {
      let low = max(range.lowerBound, next)
      if isNegated {
        if low > next { append(next, low - 1) }
      } else {
        append(low, min(range.upperBound, surrogates.lowerBound - 1))
        append(max(low, surrogates.upperBound + 1), range.upperBound)
      }
      next = range.upperBound + 1
    }
    if isNegated, next <= 0x10FFFF { result.append(next...0x10FFFF) }
    return result
  }

  private func computed(_ code: UInt32) -> Bool {
    var code = code
    var isMember: Bool
    switch folding {
    case .none: isMember = ranges.contains { $0.contains(code) }
    case .python, .pythonASCII:
      let isASCII = folding == .pythonASCII
      code = PythonCase.lowercase(code, isASCII: isASCII)
      let same = PythonCase.same(as: code, isASCII: isASCII)
      isMember = ranges.contains { range in same.contains { range.contains($0) } }
    }
    isMember = isMember || classRanges.contains { $0.contains(code) }
    if !isMember, categories != 0 || hasWhiteSpace || hasOthers {
      let kind = UnicodeClasses.of(code)
      let isWhiteSpace = kind & UnicodeClasses.whiteSpace != 0
      isMember =
        categories >> UInt32(kind & 31) & 1 == 1 || (isWhiteSpace ? hasWhiteSpace : hasOthers)
    }
    return isMember != isNegated
  }
}
