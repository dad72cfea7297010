/// What Git leaves of a large file that was not fetched: a text of three lines that stands for it.
/// Where a file of weights or a `tokenizer.json` is expected, this is what people have by mistake.
///
/// Source: the Git LFS specification, version 1.
package enum LFSPointer {
  /// Pointers are shorter than this.
  package static let greatestSize = 1024
  private static let start = Array("version https://git-lfs.github.com/spec/".utf8)

  /// The size of the file that a pointer stands for, 0 if it does not say; nil if `bytes` are no
  /// pointer.
  package static func size(of bytes: some Collection<UInt8>) -> Int? {
    guard bytes.count < greatestSize, bytes.starts(with: start) else { return nil }
    for line in bytes.split(whereSeparator: { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }
    ) {
      let words = line.split(separator: UInt8(ascii: " "))
      if words.count == 2, words[0].elementsEqual("size".utf8) {
        return Int(String(decoding: words[1], as: UTF8.self)).map { max(0, $0) } ?? 0
      }
    }
    return 0
  }

  /// What is wrong, for an error: with ``remedy`` the same words everywhere.
  package static func problem(size: Int) -> String {
    "it is a Git LFS pointer: the file itself" + (size > 0 ? ", \(size) bytes," : "")
      + " was not downloaded"
  }

  /// What to do about it.
  package static let remedy = "fetch it with: git lfs pull"
}
