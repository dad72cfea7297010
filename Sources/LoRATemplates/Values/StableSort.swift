extension Array {
  /// Sorted so that what compares equal keeps its order. The comparison may fail, and then sorting does:
  /// the standard library's `sort` throws any error, this one the comparison's.
  func stablySorted<Problem: Error>(
    by isLess: (Element, Element) throws(Problem) -> Bool
  ) throws(Problem) -> [Element] {
    var source = self
    var target = self
    var width = 1
    while width < count {
      var start = 0
      while start < count {
        let middle = Swift.min(start + width, count)
        let end = Swift.min(start + 2 * width, count)
        var (left, right) = (start, middle)
        for place in start..<end {
          let takesRight: Bool
          if left >= middle {
            takesRight = true
          } else if right >= end {
            takesRight = false
          } else {
            takesRight = try isLess(source[right], source[left])
          }
          target[place] = source[takesRight ? right : left]
          if takesRight { right += 1 } else { left += 1 }
        }
        start = end
      }
      swap(&source, &target)
      width *= 2
    }
    return source
  }
}
