import LoRAGrammars
import Testing

@Suite struct ErrorTests {
  private func expectSchema(
    _ schema: String, _ kind: ConstraintError.Kind, at place: String, saying word: String = "",
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    expectError(kind, at: place, saying: word, sourceLocation: sourceLocation) {
      () throws(ConstraintError) in
      _ = try OutputConstraint(jsonSchema: schema)
    }
  }

  @Test(arguments: [
    "not", "if", "then", "else", "contains", "minContains", "dependentRequired", "dependencies",
    "unevaluatedProperties", "unevaluatedItems", "additionalItems", "propertyNames", "nullable",
    "$anchor",
    "$dynamicRef", "contentEncoding", "x-custom",
  ])
  func keywordsThatAreNotGuaranteedAreNamed(_ keyword: String) {
    expectSchema(
      #"{"type": "object", "properties": {"a/b": {"\#(keyword)": {}}}}"#, .unsupported,
      at: "#/properties/a~1b/\(keyword)", saying: "\"\(keyword)\"")
  }

  @Test func malformedSchemas() {
    expectSchema("{", .malformed, at: "#", saying: "line 1")
    expectSchema("3", .malformed, at: "#", saying: "a schema")
    expectSchema(#"{"type": "text"}"#, .malformed, at: "#/type", saying: "\"text\"")
    expectSchema(#"{"type": []}"#, .malformed, at: "#/type")
    expectSchema(#"{"enum": []}"#, .malformed, at: "#/enum")
    expectSchema(#"{"anyOf": []}"#, .malformed, at: "#/anyOf")
    expectSchema(#"{"anyOf": [1]}"#, .malformed, at: "#/anyOf/0")
    expectSchema(#"{"minLength": -1}"#, .malformed, at: "#/minLength")
    expectSchema(#"{"maxItems": 1.5}"#, .malformed, at: "#/maxItems")
    expectSchema(#"{"minimum": "1"}"#, .malformed, at: "#/minimum")
    expectSchema(#"{"exclusiveMinimum": true}"#, .malformed, at: "#/exclusiveMinimum")
    expectSchema(#"{"multipleOf": 0}"#, .malformed, at: "#/multipleOf")
    expectSchema(#"{"pattern": 1}"#, .malformed, at: "#/pattern")
    expectSchema(#"{"required": "a"}"#, .malformed, at: "#/required")
    expectSchema(#"{"required": [1]}"#, .malformed, at: "#/required")
    expectSchema(#"{"properties": []}"#, .malformed, at: "#/properties")
    expectSchema(#"{"uniqueItems": 1}"#, .malformed, at: "#/uniqueItems")
    expectSchema(#"{"$ref": 1}"#, .malformed, at: "#/$ref")
    expectSchema(##"{"$ref": "#/$defs/a"}"##, .malformed, at: "#/$ref", saying: "$defs")
    expectSchema(##"{"$ref": "#"}"##, .malformed, at: "#", saying: "itself")
    expectSchema(
      ##"{"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/a"}]}}}"##,
      .malformed, at: "#/$defs/a", saying: "itself")
  }

  @Test func whatCannotBeGuaranteed() {
    expectSchema(#"{"$ref": "other.json"}"#, .unsupported, at: "#/$ref", saying: "other.json")
    expectSchema(#"{"format": "regex"}"#, .unsupported, at: "#/format", saying: "uuid")
    expectSchema(#"{"pattern": "(?=a)"}"#, .unsupported, at: "#/pattern", saying: "lookahead")
    expectSchema(#"{"pattern": "(?<!a)b"}"#, .unsupported, at: "#/pattern", saying: "lookbehind")
    expectSchema(#"{"pattern": "\\bword"}"#, .unsupported, at: "#/pattern", saying: "word boundary")
    expectSchema(#"{"pattern": "(a)\\1"}"#, .unsupported, at: "#/pattern", saying: "reference")
    expectSchema(#"{"pattern": "a*+"}"#, .unsupported, at: "#/pattern", saying: "possessive")
    expectSchema(#"{"pattern": "(?>a)"}"#, .unsupported, at: "#/pattern", saying: "atomic")
    expectSchema(#"{"pattern": "(?m)^a"}"#, .unsupported, at: "#/pattern", saying: "(?m)")
    expectSchema(#"{"pattern": "("}"#, .unsupported, at: "#/pattern", saying: "group")
    expectSchema(#"{"pattern": "\\p{L}"}"#, .unsupported, at: "#/pattern", saying: "\\p")
    expectSchema(#"{"multipleOf": 0.01}"#, .unsupported, at: "#/multipleOf", saying: "0.01")
    expectSchema(#"{"minimum": 1e300}"#, .unsupported, at: "#/minimum", saying: "2^53")
    expectSchema(
      #"{"exclusiveMinimum": 0.0000000000000001}"#, .unsupported, at: "#", saying: "exclusive")
    expectSchema(#"{"items": [{}]}"#, .unsupported, at: "#/items", saying: "prefixItems")
    expectSchema(#"{"uniqueItems": true}"#, .unsupported, at: "#/uniqueItems")
    expectSchema(
      #"{"properties": {"o": {"minProperties": 2}}}"#, .unsupported,
      at: "#/properties/o/minProperties",
      saying: "additionalProperties")
    expectSchema(
      #"{"properties": {"o": {"oneOf": [{"type": "integer"}, {"type": "number"}]}}}"#, .unsupported,
      at: "#/properties/o/oneOf", saying: "#/properties/o/oneOf/0 and #/properties/o/oneOf/1")
  }

  @Test func whatNothingFulfils() {
    expectSchema("false", .unsatisfiable, at: "#")
    expectSchema(#"{"type": "string", "enum": [1]}"#, .unsatisfiable, at: "#")
    expectSchema(#"{"type": "integer", "minimum": 3, "maximum": 2}"#, .unsatisfiable, at: "#")
    expectSchema(#"{"type": "string", "minLength": 3, "maxLength": 2}"#, .unsatisfiable, at: "#")
    expectSchema(#"{"type": "string", "pattern": "a^"}"#, .unsatisfiable, at: "#")
    expectSchema(
      #"{"type": "object", "required": ["a"], "properties": {"a": false}}"#, .unsatisfiable, at: "#"
    )
    expectSchema(
      ##"{"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}}"##,
      .unsatisfiable, at: "#")
    expectError(.unsatisfiable, at: "pattern") { () throws(ConstraintError) in
      _ = try OutputConstraint.pattern("a^b")
    }
  }

  @Test func whatIsTooLarge() {
    expectError(.tooLarge, at: "pattern") { () throws(ConstraintError) in
      _ = try OutputConstraint.pattern("(?:a|b)*a(?:a|b){20}")
    }
    expectError(.tooLarge, at: "pattern") { () throws(ConstraintError) in
      _ = try OutputConstraint.pattern("(?:(?:a{100}){100}){100}")
    }
    expectSchema(#"{"type": "string", "maxLength": 100000}"#, .tooLarge, at: "#", saying: "20000")
    expectSchema(
      #"{"type": "integer", "multipleOf": 199999, "minimum": 1}"#, .tooLarge, at: "#",
      saying: "multipleOf")
    expectSchema(
      #"{"allOf": [{"multipleOf": 199999}, {"multipleOf": 199998}]}"#, .tooLarge,
      at: "#/allOf/1/multipleOf")
    let group = #"{"anyOf": [{"minimum": 1}, {"minimum": 2}, {"minimum": 3}]}"#
    let groups = [String](repeating: group, count: 10).joined(separator: ", ")
    expectSchema(#"{"allOf": [\#(groups)]}"#, .tooLarge, at: "#/allOf/8", saying: "combinations")
    for keyword in ["minItems", "maxItems", "minProperties", "maxProperties"] {
      expectSchema(#"{"\#(keyword)": 1e12}"#, .tooLarge, at: "#/\(keyword)")
    }
    let patterns = (0..<7).map { #""\#($0)": {}"# }.joined(separator: ", ")
    expectSchema(#"{"patternProperties": {\#(patterns)}}"#, .tooLarge, at: "#/patternProperties")
  }

  @Test func choicesThatAreNone() {
    expectError(.malformed, at: "choices") { () throws(ConstraintError) in
      _ = try OutputConstraint.choices([])
    }
    expectError(.malformed, at: "choices") { () throws(ConstraintError) in
      _ = try OutputConstraint.choices(["a", ""])
    }
  }
}
