import Foundation
import LoRAFiles
import LoRATraining
import Testing

/// Files of data in every form that people have them, and what is said of those that cannot be read.
@Suite struct DataFileTests {
  private static let folder: String = {
    let folder = FileManager.default.temporaryDirectory.appending(path: "lora-data-\(UUID())").path
    try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    return folder
  }()

  private func file(_ name: String, _ bytes: some Sequence<UInt8>) throws -> String {
    let folder = Self.folder + "/" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try Data(Array(bytes)).write(to: URL(filePath: folder + "/" + name))
    return folder + "/" + name
  }

  private func records(_ name: String, _ text: some Sequence<UInt8>) throws -> [DataRecord] {
    var records: [DataRecord] = []
    try DataFile(try file(name, text)).forEachRecord { records.append($0) }
    return records
  }

  private func records(_ name: String, _ text: String) throws -> [DataRecord] {
    try records(name, text.utf8)
  }

  /// The error that reading the file ends in.
  private func failure(_ name: String, _ bytes: some Sequence<UInt8>) throws -> FormatError {
    let path = try file(name, bytes)
    do {
      try DataFile(path).forEachRecord { _ in }
    } catch let error as FormatError {
      #expect(error.file == path)
      return error
    }
    return try #require(nil as FormatError?, "\(name) was read")
  }

  private func failure(_ name: String, _ text: String) throws -> FormatError {
    try failure(name, text.utf8)
  }

  private func text(_ text: String, _ line: Int) -> DataRecord {
    DataRecord(.text(text), line: line)
  }

  private func pair(_ prompt: String, _ completion: String, _ line: Int) -> DataRecord {
    DataRecord(.pair(PromptCompletion(prompt: prompt, completion: completion)), line: line)
  }

  // MARK: Names and beginnings

  private static let beginnings: [(String, String, DataFile.Format)] = [
    ("a.txt", "{", DataFile.Format.text), ("a.TXT", "x", .text), ("a.md", "[", .text),
    ("a.jsonl", "{}", .jsonLines), ("A.JSONL", "{}", .jsonLines), ("a.ndjson", "", .jsonLines),
    ("a.json", "[]", .json), ("a.Json", " \n[", .json), ("a.json", "{\"text\":\"a\"}", .jsonLines),
    ("a.csv", "text", .csv), ("a.CSV", "", .csv), ("a.tsv", "", .csv),
    ("a.SafeTensors", "", .safetensors), ("data", "{\"text\":1}", .jsonLines),
    ("data", "[[1]]", .json), ("data", "Once", .text), ("a.log", "[x]", .text),
    // Under a name that says nothing, what training could use is recognized, and nothing else.
    ("a.data", "prompt,completion\na,b", .csv), ("a.csv.bak", "Text;id\na;1", .csv),
    ("a", "id\ttext\n1\ta", .csv), ("a", "sep=;\nid;text\n1;a", .csv),
    ("a.data", "\"prompt\",\"completion\"\n", .csv), ("a.data", "question,answer\n", .text),
    ("a.data", "Text, and more\n", .text), ("a.data", "text\na\n", .text),
    ("a.jsonl.bak", "[1,2,3]\n[4,5]\n", .jsonLines), ("a.bak", " [ 1 , 2 ]\n", .jsonLines),
    ("a.bak", "[1] A footnote", .text), ("a.bak", "[1]\n", .text), ("a.bak", "[1, x]", .text),
    ("a.bak", "[1.5, 2]", .text),
    ("a.bak", "[\n[1,\n2]]", .json), ("a.bak", "[ {\"text\":\"a\"}]", .json),
    ("a.bak", "[[link]] text", .text), ("a.bak", "[{x}]", .text),
    ("a.jsonl.bak", "{\"text\":\"a\"}", .jsonLines), ("a.bak", "\"text, more", .text),
    ("\u{FEFF}", "", .text),
  ]

  @Test(arguments: beginnings)
  func formats(name: String, content: String, format: DataFile.Format) throws {
    let found = try DataFile(try file(name, content.utf8))
    #expect(found.format == format)
    let suffixes = ["txt", "md", "jsonl", "ndjson", "json", "csv", "tsv", "safetensors"]
    #expect(found.isNamed == suffixes.contains { name.lowercased().hasSuffix("." + $0) })
    guard format != .safetensors else { return }
    let marked = [0xEF, 0xBB, 0xBF] + Array(content.utf8)
    #expect(try DataFile(try file(name, marked)).format == format, "with a byte order mark")
  }

  @Test func whatIsNoText() throws {
    for (bytes, name, remedy) in [
      (Array("PAR1".utf8), "Parquet", "read_parquet"), ([0x1F, 0x8B, 8, 0], "gzip", "gunzip"),
      ([0x50, 0x4B, 3, 4], "zip", "CSV"), ([0x28, 0xB5, 0x2F, 0xFD], "Zstandard", "unzstd"),
      (Array("%PDF-1.7".utf8), "PDF", "pdftotext"), (Array("GGUF".utf8), "GGUF", "--model"),
      (Array("version https://git-lfs.github.com/spec/v1".utf8), "Git LFS", "git lfs pull"),
      ([0xFF, 0xFE, 0x61, 0], "UTF-16", "iconv -f UTF-16"),
      ([0xFE, 0xFF, 0, 0x61], "UTF-16", "iconv"), ([0xFF, 0xFE, 0, 0, 0x61], "UTF-32", "iconv"),
      ([0x61, 0, 0x62, 0, 0x63, 0], "UTF-16LE", "iconv -f UTF-16LE"),
      ([0, 0x61, 0, 0x62, 0, 0x63], "UTF-16BE", "iconv -f UTF-16BE"),
    ] {
      for suffix in ["txt", "jsonl", "json", "csv"] {
        let error = try failure("a." + suffix, bytes)
        #expect(error.kind == (name == "Git LFS" ? .missingFile : .unsupported))
        #expect(error.problem.contains(name) && error.remedy.contains(remedy), "\(error)")
      }
    }
    #expect(throws: FormatError.self) { try DataFile(Self.folder) }
    #expect(throws: FormatError.self) { try DataFile(Self.folder + "/nothing.txt") }
    #expect(throws: FormatError.self) { try DataFile("/dev/null") }
  }

  @Test func bytesThatAreNoText() throws {
    for (name, content, place) in [
      ("a.txt", "abc\nd" + "\u{0}", "line 2, byte 2"), ("a.csv", "text\nab\ncd\u{0}\n", "line 3"),
    ] {
      let error = try failure(name, content)
      #expect(error.kind == .malformed && error.subject.hasPrefix(place), "\(error)")
      #expect(error.problem.contains("NUL"))
    }
    let latin = Array("ab\r\ncaf".utf8) + [0xE9] + Array("\n".utf8)
    let error = try failure("a.txt", latin)
    #expect(error.subject == "line 2, byte 4" && error.problem.contains("0xE9"), "\(error)")
    let line = try failure("a.jsonl", Array("\n{\"text\":\"".utf8) + [0xE9] + Array("\"}".utf8))
    #expect(line.subject == "line 2" && line.problem.contains("UTF-8"), "\(line)")
    let cell = try failure("a.csv", Array("text\n\na,b\n".utf8.prefix(6)) + [0xE9, 0x0A])
    #expect(cell.subject.hasPrefix("line 3, byte 1"), "\(cell)")
  }

  // MARK: Text

  @Test(arguments: [
    ("a\nb\n", "a\nb\n"), ("a\r\nb\r\n", "a\nb\n"), ("a\rb", "a\nb"), ("a\r\r\nb", "a\n\nb"),
    ("\u{FEFF}a", "a"), ("\u{FEFF}\r\na", "\na"), ("日本\u{2028}x", "日本\u{2028}x"),
  ])
  func texts(content: String, expected: String) throws {
    #expect(try records("a.txt", content) == [text(expected, 1)])
  }

  @Test(arguments: ["", " \n\t\r\n", "\u{FEFF}", "\u{3000}"])
  func textsWithoutText(content: String) throws {
    #expect(try records("a.txt", content).isEmpty)
  }

  // MARK: JSON lines

  @Test(arguments: ["\n", "\r\n", "\r"]) func jsonLines(end: String) throws {
    let lines = [
      "", "{\"text\":\"a\"}", " ", "{\"prompt\":\"b\",\"completion\":\"c\\n\"}", "[1,2]",
    ]
    for last in ["", end, end + end] {
      let found = try records("a.jsonl", lines.joined(separator: end) + last)
      #expect(
        found == [text("a", 2), pair("b", "c\n", 4), DataRecord(.tokens([1, 2]), line: 5)])
    }
  }

  @Test(arguments: [
    ("{\"text\":\"a\"}\n\n{", 3, "it is not JSON"),
    ("{\"text\":\"a\"}\n{\"text\":1}", 2, "an integer"),
    ("\n\n\n{\"question\":\"a\",\"answer\":\"b\"}", 4, "found 'question', 'answer'"),
    ("{\"prompt\":{},\"completion\":\"a\"}", 1, "an object"),
    ("{\"prompt\":\"a\"}", 1, "'prompt'"), ("{}", 1, "no fields"), ("3", 1, "an integer"),
    ("{\"text\":\"a\"} {\"text\":\"b\"}", 1, "it is not JSON"), ("[\n[1]\n]", 1, "it is not JSON"),
    ("[1,-2]", 1, "position 1"), ("[]", 1, "empty"), ("{\"text\":null}", 1, "'text'"),
  ])
  func wrongLines(content: String, line: Int, words: String) throws {
    let error = try failure("a.jsonl", content)
    #expect(error.subject == "line \(line)" && error.description.contains(words), "\(error)")
  }

  @Test func aPromptGoesBeforeAText() throws {
    let found = try records(
      "a.jsonl",
      """
      {"prompt":"a","completion":"b","text":"c","id":7}
      {"text":"c","prompt":"a"}
      {"text":null,"prompt":"a","completion":"b"}
      """)
    #expect(found[0].content == pair("a", "b", 1).content && found[0].unusedFields == ["text"])
    #expect(found[1].content == text("c", 2).content && found[1].unusedFields == ["prompt"])
    #expect(found[2] == pair("a", "b", 3))
  }

  @Test func longLines() throws {
    let long = String(repeating: "日本 text ", count: 400_000)
    let found = try records("a.jsonl", "{\"text\":\"a\"}\n{\"text\":\"\(long)\"}\n{\"text\":\"b\"}")
    #expect(found == [text("a", 1), text(long, 2), text("b", 3)])
  }

  // MARK: JSON lists

  @Test func lists() throws {
    let objects = """
      [
        {"text": "a, ] \\" }"},

        {"text": "b"}
      ]
      """
    #expect(try records("a.json", objects) == [text("a, ] \" }", 2), text("b", 4)])
    #expect(
      try records("a.json", "[[1,2],\n[3]]")
        == [DataRecord(.tokens([1, 2]), line: 1), DataRecord(.tokens([3]), line: 2)])
    #expect(try records("a.json", "{\"text\":\"a\"}\n{\"text\":\"b\"}").count == 2)
  }

  @Test(arguments: [
    ("", "", "it is empty"), ("[\n[1],\n[]]", "example 2 (line 3)", "it is empty"),
    ("[[1],\n[2, \"x\"]]", "example 2 (line 2)", "position 1"), ("[[1]", "line 1", "no ']'"),
    ("[[1]] x", "line 1", "text follows"),
    ("[\n{\"text\":\"a\"},\n{\"txt\":1}]", "line 3", "'txt'"),
    ("[{\"text\":\n\"a\n\"}]", "line 2", "control character"), ("[]", "", "no examples"),
    ("[1]", "line 1", "an integer"), ("\"a\"", "", "a string"), ("[[1],]", "line 1", "not JSON"),
    ("nonsense", "", "not JSON"), ("[\n\n\"a]", "line 3", "not JSON"),
  ])
  func wrongLists(content: String, place: String, words: String) throws {
    let error = try failure("a.json", content)
    #expect(
      (place.isEmpty || error.subject == place) && error.description.contains(words), "\(error)")
  }

  // MARK: CSV

  @Test(arguments: [",", ";", "\t"]) func tables(separator: String) throws {
    for end in ["\n", "\r\n", "\r"] {
      let lines = [
        ["id", "prompt", "completion"], ["1", "a", "\"b\(separator) \"\"c\"\"\n\nd\""],
        ["2", "\"\"", "e"],
      ].map { $0.joined(separator: separator) }
      let expected = [pair("a", "b\(separator) \"c\"\n\nd", 2), pair("", "e", 5)]
      #expect(try records("a.csv", lines.joined(separator: end) + end) == expected)
      #expect(try records("a.csv", "\u{FEFF}" + lines.joined(separator: end)) == expected)
    }
  }

  @Test func tablesOfSpreadsheets() throws {
    #expect(try records("a.csv", "sep=;\n Text ;n\na,b;1\n") == [text("a,b", 3)])
    #expect(try records("a.csv", "text\na\n\nb\n\n") == [text("a", 2), text("b", 4)])
    #expect(try records("a.tsv", "text\tn\na, b; c\t1\n") == [text("a, b; c", 2)])
    #expect(
      try records("a.csv", "text,prompt,completion\nx,,\n,a,b\n") == [
        text("x", 2), pair("a", "b", 3),
      ])
    #expect(try records("a.csv", "text\nsays \"hi\" twice\n") == [text("says \"hi\" twice", 2)])
    #expect(try records("a.csv", "").isEmpty && records("a.csv", "text\n").isEmpty)
  }

  @Test(arguments: [
    ("a,b\n1,2\n", 1, "found 'a', 'b'"), ("text,n\na,1\nb\n", 3, "1 field,"),
    ("text,n\na,1\nb,2,3\n", 3, "3 fields"), ("text\n\"a\nb", 2, "never closed"),
    ("text\n\"a\" b\n", 2, "follows the quote"), ("text,text\na,b\n", 1, "two columns"),
    ("prompt\na\n", 1, "'prompt'"), ("text\n\"a\nb\"\n\"c\" d\n", 4, "follows the quote"),
  ])
  func wrongTables(content: String, line: Int, words: String) throws {
    let error = try failure("a.csv", content)
    #expect(error.subject == "line \(line)" && error.description.contains(words), "\(error)")
  }
}
