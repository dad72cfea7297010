import LoRAJSON
import Testing

@Suite struct JSONParsing {
  @Test func readsEveryKindOfValue() throws {
    let value = try JSONValue(
      parsing: #" {"a": [1, -2.5, 1e3, true, false, null], "b": {"c": "d"}, "": []} "#)
    #expect(value["a"]?.arrayValue == [1, -2.5, .number(1000), true, false, nil])
    #expect(value["b"]?["c"]?.stringValue == "d")
    #expect(value[""] == [])
    #expect(value.objectValue?.keys == ["a", "b", ""])
  }

  @Test func keepsIntegersExact() throws {
    #expect(try JSONValue(parsing: "9223372036854775807") == .integer(.max))
    #expect(try JSONValue(parsing: "-9223372036854775808") == .integer(.min))
    #expect(try JSONValue(parsing: "9007199254740993").intValue == 9_007_199_254_740_993)
    #expect(try JSONValue(parsing: "9223372036854775808") == .number(9_223_372_036_854_775_808))
    let huge = try JSONValue(parsing: "1000000000000000019884624838656")
    #expect(huge.doubleValue == 1e30)
    #expect(huge.intValue == nil)
    #expect(try JSONValue(parsing: "16.0").intValue == nil)
    #expect(try JSONValue(parsing: "16").doubleValue == 16)
  }

  @Test func readsEscapes() throws {
    let text = #""\"\\\/\b\f\n\r\t\u0000\u00e9\ud83d\ude00\uFFFD""#
    let value = try JSONValue(parsing: text)
    #expect(
      value.stringValue?.unicodeScalars.map(\.value) == [
        0x22, 0x5C, 0x2F, 8, 12, 10, 13, 9, 0, 0xE9, 0x1F600, 0xFFFD,
      ])
  }

  @Test(arguments: [
    "", " ", "{", "[", "]", "[1,]", "[,1]", "{\"a\":1,}", "{a:1}", "{\"a\" 1}", "01", "-", "+1",
    "1.", ".5", "1e", "1e+", "0x10", "NaN", "Infinity", "-Infinity", "nul", "tru", "True", "'a'",
    "\"a", "\"\u{1}\"", "\"\n\"", #""\x""#, #""\u12""#, #""\ud800""#, #""\udc00""#,
    #""\ud800\u0041""#, #""\ud800x""#, #""\ud83d\ud83d""#, "1 2", "[1] x", "1e400", "-1e999",
    "\u{FEFF}1", "{\"a\":1,\"a\":2}", "// c\n1", "[1 2]", "\u{A0}1", "1\u{0}",
  ])
  func refuses(_ text: String) {
    #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
  }

  @Test(
    arguments: [
      [0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22],
      [0x22, 0xF4, 0x90, 0x80, 0x80, 0x22], [0x22, 0xE2, 0x82, 0x22], [0x22, 0x80, 0x22],
      [0x22, 0xE0, 0x80, 0x80, 0x22], [0x22, 0xF0, 0x9F, 0x98], [0x31, 0xFE],
    ] as [[UInt8]])
  func refusesInvalidUTF8(_ bytes: [UInt8]) {
    #expect(throws: JSONError.self) { try JSONValue(parsing: bytes) }
  }

  @Test func tellsThePlace() {
    let error = #expect(throws: JSONError.self) { try JSONValue(parsing: "{\n  \"a\": tru\n}") }
    #expect(error?.byteOffset == 9)
    #expect(error?.line == 2)
    #expect(error?.column == 8)
    let twice = #expect(throws: JSONError.self) {
      try JSONValue(parsing: #"{"é": 1, "é": 2}"#)
    }
    #expect(
      twice?.description == "the key \"é\" occurs a second time in one object at line 1,"
        + " column 11 (byte 10)")
  }

  @Test func tellsCanonicallyEquivalentKeysApart() throws {
    let value = try JSONValue(parsing: "{\"\u{E9}\": 1, \"e\u{301}\": 2}")
    #expect(value["\u{E9}"] == 1)
    #expect(value["e\u{301}"] == 2)
    #expect(JSONValue.string("\u{E9}") != .string("e\u{301}"))
    #expect(Set([JSONValue.string("\u{E9}"), .string("e\u{301}")]).count == 2)
    #expect(JSONValue.string("\u{E9}") == "\u{E9}")
  }

  @Test func limitsTheDepth() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    _ = try JSONValue(parsing: nested(128))
    #expect(throws: JSONError.self) { try JSONValue(parsing: nested(129)) }
    #expect(throws: JSONError.self) {
      try JSONValue(parsing: String(repeating: "{\"a\":", count: 1_000_000))
    }
    _ = try JSONValue(parsing: nested(512), maximumDepth: 512)
  }

  @Test func findsDuplicatesAmongManyKeys() throws {
    let pairs = (0..<1000).map { "\"k\($0)\":\($0)" }
    let object = try JSONValue(parsing: "{" + pairs.joined(separator: ",") + "}")
    for i in 0..<1000 { #expect(object["k\(i)"]?.intValue == i) }
    #expect(object["k1000"] == nil)
    #expect(throws: JSONError.self) {
      try JSONValue(parsing: "{" + (pairs + ["\"k7\":0"]).joined(separator: ",") + "}")
    }
  }

  @Test func takesAnyCollectionOfBytes() throws {
    let text = "xx[1,\"a\"]yy"
    #expect(try JSONValue(parsing: text.utf8.dropFirst(2).dropLast(2)) == [1, "a"])
    #expect(try JSONValue(parsing: [UInt8](text.utf8)[2..<9]) == [1, "a"])
    #expect(try JSONValue(parsing: "]1[".utf8.reversed()) == [1])
  }
}

@Suite struct JSONWriting {
  @Test func roundTrips() throws {
    let text =
      #"{"z":[1,-2.5,16.0,1e+20,5e-324,true,null],"a":{"b":"\"\\\n\u0001é"},"e":[],"o":{}}"#
    let value = try JSONValue(parsing: text)
    #expect(value.encoded() == text)
    #expect(try JSONValue(parsing: value.encoded(pretty: true)) == value)
  }

  @Test func writesAsPythonDoes() throws {
    let value: JSONValue = ["b": [1, 16.0, ["k": nil]], "a": [], "c": [:]]
    #expect(
      value.encoded(pretty: true, sortedKeys: true) == """
        {
          "a": [],
          "b": [
            1,
            16.0,
            {
              "k": null
            }
          ],
          "c": {}
        }
        """)
  }

  @Test(arguments: [
    0.1, 1.0 / 3, 1e-7, 123456789.125, 1.7976931348623157e308, -0.0, 9007199254740992,
  ])
  func doublesReadBackTheSame(_ number: Double) throws {
    let read = try JSONValue(parsing: JSONValue.number(number).encoded())
    #expect(read.doubleValue?.bitPattern == number.bitPattern)
    guard case .number = read else {
      Issue.record("\(number) came back as \(read)")
      return
    }
  }

  @Test func writesNoNumbersThatJSONLacks() {
    #expect(JSONValue.array([.number(.nan), .number(.infinity)]).encoded() == "[null,null]")
  }
}

@Suite struct JSONObjects {
  @Test func keepOrderThroughChanges() {
    var object: JSONObject = ["b": 1, "a": 2]
    object["c"] = 3
    object["b"] = 4
    #expect(object.keys == ["b", "a", "c"])
    #expect(object["b"] == 4)
    object["a"] = nil
    #expect(object.keys == ["b", "c"])
    for i in 0..<100 { object["k\(i)"] = .integer(Int64(i)) }
    for i in stride(from: 0, to: 100, by: 2) { object["k\(i)"] = nil }
    #expect(object.count == 52)
    #expect(object["k51"] == 51)
    #expect(object["k50"] == nil)
    #expect(object.append("k51", 0) == false)
    #expect(object != ["c": 3, "b": 4])
  }
}
