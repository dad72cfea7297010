/// Upper and lower case as Python's `str` changes it.
extension Text {
  func uppercased() -> Text {
    Text(
      scalars.flatMap { scalar -> [Unicode.Scalar] in
        scalar.isASCII
          ? [("a"..."z").contains(scalar) ? Unicode.Scalar(UInt8(scalar.value) - 32) : scalar]
          : Array(scalar.properties.uppercaseMapping.unicodeScalars)
      })
  }

  func lowercased() -> Text {
    var result: [Unicode.Scalar] = []
    result.reserveCapacity(count)
    for index in scalars.indices { appendLower(index, to: &result) }
    return Text(result)
  }

  /// A sigma at the end of a word is written otherwise.
  private func appendLower(_ index: Int, to result: inout [Unicode.Scalar]) {
    let scalar = scalars[index]
    if scalar.isASCII {
      result.append(
        ("A"..."Z").contains(scalar) ? Unicode.Scalar(UInt8(scalar.value) + 32) : scalar)
      return
    }
    guard scalar == "\u{3A3}" else {
      result += scalar.properties.lowercaseMapping.unicodeScalars
      return
    }
    let before = scalars[..<index].last { !$0.properties.isCaseIgnorable }
    let after = scalars[(index + 1)...].first { !$0.properties.isCaseIgnorable }
    let isFinal = (before?.properties.isCased ?? false) && !(after?.properties.isCased ?? false)
    result.append(isFinal ? "\u{3C2}" : "\u{3C3}")
  }

  /// The first character in title case, the others in lower case.
  func capitalized() -> Text {
    guard let first = scalars.first else { return self }
    return Text(first.properties.titlecaseMapping)
      + Text(lowercased().scalars.dropFirst(Text([first]).lowercased().count))
  }

  /// `str.title`: every character after one without case begins a word.
  func titled() -> Text {
    var result: [Unicode.Scalar] = []
    var isInside = false
    for (index, scalar) in scalars.enumerated() {
      if isInside {
        appendLower(index, to: &result)
      } else {
        result += scalar.properties.titlecaseMapping.unicodeScalars
      }
      isInside = scalar.properties.isCased
    }
    return Text(result)
  }

  func swappingCase() -> Text {
    var result: [Unicode.Scalar] = []
    for (index, scalar) in scalars.enumerated() {
      if scalar.isPythonUpper {
        appendLower(index, to: &result)
      } else if scalar.isPythonLower {
        result += scalar.properties.uppercaseMapping.unicodeScalars
      } else {
        result.append(scalar)
      }
    }
    return Text(result)
  }

  /// For comparisons without case. The standard library has no table of foldings: lower case of upper
  /// case is the folding of almost every letter.
  func caseFolded() -> Text {
    Text(
      uppercased().scalars.flatMap { scalar -> [Unicode.Scalar] in
        scalar == "\u{3A3}" ? ["\u{3C3}"] : Text([scalar]).lowercased().scalars
      })
  }

  /// Whether it has letters with case and none in another case than the one asked for.
  func isAll(_ isRight: (Unicode.Scalar) -> Bool, butNot isWrong: (Unicode.Scalar) -> Bool) -> Bool
  {
    !scalars.contains(where: isWrong) && scalars.contains(where: isRight)
  }
}
