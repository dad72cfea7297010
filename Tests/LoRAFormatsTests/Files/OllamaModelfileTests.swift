import Foundation
import LoRAFiles
import TestSupport
import Testing

@Suite("Modelfiles")
struct OllamaModelfileTests {
  @Test("the text of a whole file")
  func text() throws {
    let file = OllamaModelfile(
      from: "llama3.2", adapter: "./my adapter.gguf",
      template: "{{- if .System }}<|system|>\n{{ .System }}{{ end }}<|user|>\n{{ .Prompt }}\n",
      system: "Say \"yes\"",
      parameters: [("temperature", "0.2"), ("stop", "<|eot_id|>"), ("stop", "# x")])
    #expect(
      try file.text() == """
        FROM llama3.2
        ADAPTER "./my adapter.gguf"
        TEMPLATE \"""{{- if .System }}<|system|>
        {{ .System }}{{ end }}<|user|>
        {{ .Prompt }}
        \"""
        SYSTEM \"""Say "yes"\"""
        PARAMETER temperature 0.2
        PARAMETER stop <|eot_id|>
        PARAMETER stop "# x"

        """)
    let scratch = try Scratch()
    try file.write(to: scratch.file("Modelfile"))
    #expect(try bytes(of: scratch.file("Modelfile")) == Array(try file.text().utf8))
  }

  @Test("beside an adapter")
  func beside() throws {
    let (path, file) = OllamaModelfile(from: "./base.gguf").beside(adapter: "out/support.gguf")
    #expect(path == "out/Modelfile")
    #expect(try file.text() == "FROM ./base.gguf\nADAPTER ./support.gguf\n")
    #expect(OllamaModelfile(from: "x").beside(adapter: "support.gguf").path == "./Modelfile")
  }

  @Test("what cannot be written is refused")
  func refused() {
    expectError(.invalidValue, "FROM", "empty") { _ = try OllamaModelfile(from: "").text() }
    expectError(.invalidValue, "TEMPLATE", "three quotation marks") {
      _ = try OllamaModelfile(from: "x", template: "a \"\"\" b").text()
    }
    expectError(.invalidValue, "SYSTEM", "U+200B") {
      _ = try OllamaModelfile(from: "x", system: "a\u{200B}b").text()
    }
    expectError(.invalidValue, "SYSTEM", "U+0007") {
      _ = try OllamaModelfile(from: "x", system: "\u{7}").text()
    }
    for name in ["", "a b", "top-p", "é"] {
      expectError(.invalidValue, "PARAMETER \(name)", "letters") {
        _ = try OllamaModelfile(from: "x", parameters: [(name, "1")]).text()
      }
    }
  }

  @Test("Ollama's parser reads every value back")
  func readBack() throws {
    var random = SplitMix(state: 5)
    let pieces = [
      "\"", "\"", "\"", "a", " ", "\n", "\t", "#", "\r\n", "é漢", "{{ .X }}", "FROM", "\\", "'",
    ]
    var (written, refused) = (0, 0)
    for _ in 0..<3000 {
      func value() -> String {
        (0..<Int.random(in: 0...6, using: &random))
          .map { _ in pieces.randomElement(using: &random) ?? "" }.joined()
      }
      let values = (value(), value(), value())
      let file = OllamaModelfile(
        from: "base", template: values.0, system: values.1, parameters: [("stop", values.2)])
      do {
        let read = try ModelfileReader.read(try file.text())
        #expect(read.map(\.name) == ["from", "template", "system", "stop"], "\(values)")
        #expect(read.map(\.value).dropFirst() == [values.0, values.1, values.2])
        written += 1
      } catch is FormatError {
        #expect([values.0, values.1, values.2].contains { $0.contains("\"\"\"") })
        refused += 1
      }
    }
    #expect(written > 2000)
    #expect(refused > 10)
  }
}

/// Reads Modelfiles by the rules of Ollama's parser: an instruction's value ends at the first line
/// break at which it is unquoted or its quotation is complete, without the white space around it.
private enum ModelfileReader {
  struct Failure: Error {}

  static func read(_ text: String) throws -> [(name: String, value: String)] {
    var result: [(String, String)] = []
    var rest = Array(text.unicodeScalars)[...]
    func word() -> String {
      let name = rest.prefix { $0 != " " && $0 != "\n" }
      rest = rest.dropFirst(name.count + 1)
      return String(String.UnicodeScalarView(name))
    }
    while true {
      rest = rest.drop { $0.properties.isWhitespace }
      guard !rest.isEmpty else { return result }
      var name = word().lowercased()
      if name == "parameter" { name = word() }
      var value: [Unicode.Scalar] = []
      var complete: String?
      while let next = rest.first {
        if next == "\n" || next == "\r", let whole = unquoted(value) {
          complete = whole
          break
        }
        value.append(next)
        rest = rest.dropFirst()
      }
      guard let complete = complete ?? unquoted(value) else { throw Failure() }
      result.append((name, complete))
    }
  }

  private static func unquoted(_ value: [Unicode.Scalar]) -> String? {
    var view = value[...]
    while let first = view.first, first.properties.isWhitespace { view.removeFirst() }
    while let last = view.last, last.properties.isWhitespace { view.removeLast() }
    for mark in [3, 1] where view.count >= mark && view.prefix(mark).allSatisfy({ $0 == "\"" }) {
      guard view.count >= 2 * mark, view.suffix(mark).allSatisfy({ $0 == "\"" }) else { return nil }
      return String(String.UnicodeScalarView(view.dropFirst(mark).dropLast(mark)))
    }
    return String(String.UnicodeScalarView(view))
  }
}
