/// The code point that starts at `index` of well-formed UTF-8, and how many bytes it has.
@inlinable @inline(__always)
package func decodeScalar(
  _ bytes: UnsafeBufferPointer<UInt8>, at index: Int
) -> (code: UInt32, count: Int) {
  let first = UInt32(bytes[index])
  if first < 0x80 { return (first, 1) }
  let second = UInt32(bytes[index + 1] & 0x3F)
  if first < 0xE0 { return ((first & 0x1F) << 6 | second, 2) }
  let third = UInt32(bytes[index + 2] & 0x3F)
  if first < 0xF0 { return ((first & 0x0F) << 12 | second << 6 | third, 3) }
  return (
    (first & 0x07) << 18 | second << 12 | third << 6 | UInt32(bytes[index + 3] & 0x3F), 4
  )
}

/// How many bytes the UTF-8 sequence has that starts with `byte`.
@inlinable @inline(__always)
package func scalarLength(startingWith byte: UInt8) -> Int {
  byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4
}

/// Where the code point starts that ends before `index`, which is not the beginning.
@inlinable @inline(__always)
package func scalarStart(_ bytes: UnsafeBufferPointer<UInt8>, before index: Int) -> Int {
  var start = index - 1
  while start > 0, bytes[start] & 0xC0 == 0x80 { start -= 1 }
  return start
}
