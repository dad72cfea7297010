import LoRAGrammars
import Testing

@Suite struct SchemaTests {
  @Test func typesAreTakenOneByOneAndInLists() throws {
    try expect(#"{"type": "null"}"#, accepts: ["null"], rejects: ["true", "0", "nul", ""])
    try expect(#"{"type": "boolean"}"#, accepts: ["true", "false"], rejects: ["null", "tru", "1"])
    try expect(
      #"{"type": ["integer", "string", "null"]}"#, accepts: ["1", "\"a\"", "null"],
      rejects: ["1.5", "true", "[]", "{}"])
    try expect(
      "true", accepts: ["1", "{}", "[[]]", "\"\"", "-0.5e+10"], rejects: ["", "[", "nan"])
    try expect("{}", accepts: ["{\"a\": [1, {\"b\": null}]}"], rejects: ["{\"a\"}", "{a: 1}"])
  }

  @Test func annotationsSayNothing() throws {
    try expect(
      ##"""
      {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "x", "$comment": "c",
       "title": "t", "description": "d", "default": 3, "examples": [1], "deprecated": true,
       "readOnly": false, "writeOnly": false, "type": "boolean"}
      """##, accepts: ["true"], rejects: ["3"])
  }

  @Test func objectsKeepTheOrderOfTheSchema() throws {
    let schema = #"""
      {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"},
       "c": {"type": "null"}}, "required": ["b"], "additionalProperties": false}
      """#
    try expect(
      schema,
      accepts: [
        #"{"b":true}"#, #"{"a":1,"b":true}"#, #"{"a": 1, "b": true, "c": null}"#,
        #"{"b":true, "c":null}"#,
      ],
      rejects: [
        "{}", #"{"a":1}"#, #"{"b":true,"a":1}"#, #"{"b":true,"d":1}"#, #"{"b":true,"b":true}"#,
        #"{"b":true,}"#, #"{,"b":true}"#, #"{"b":1}"#, #"{"b"  :true}"#, #"{"b":  true}"#,
      ])
  }

  @Test func additionalPropertiesAreAnyUnlessTheSchemaSaysOtherwise() throws {
    try expect(
      #"{"type": "object", "properties": {"id": {"type": "integer"}}}"#,
      accepts: ["{}", #"{"id":1,"x":[null]}"#, #"{"ide":true}"#, #"{"i":1,"":2}"#],
      rejects: [#"{"id":"x"}"#, #"{"x":1,"id":"y"}"#, #"{"\u0069d":"x"}"#])
    try expect(
      #"{"type": "object", "additionalProperties": {"type": "integer"}}"#,
      accepts: ["{}", #"{"a":1, "é\n":2}"#], rejects: [#"{"a":true}"#, #"{"a":1"#])
    try expect(
      #"{"type": "object", "additionalProperties": false}"#, accepts: ["{}"],
      rejects: [#"{"a":1}"#])
    // A property that is required without being listed is one of the others.
    try expect(
      #"{"type": "object", "required": ["q"], "additionalProperties": {"type": "null"}}"#,
      accepts: [#"{"q":null}"#, #"{"q":null,"r":null}"#], rejects: ["{}", #"{"q":1}"#])
  }

  @Test func patternPropertiesHoldForNamesThatMatch() throws {
    try expect(
      #"""
      {"type": "object", "properties": {"x-a": {"maxLength": 2}},
       "patternProperties": {"^x-": {"type": "string"}, "z$": {"minLength": 1}},
       "additionalProperties": {"type": "boolean"}}
      """#,
      accepts: [
        #"{"x-a":"ab"}"#, #"{"x-b":""}"#, #"{"b":true}"#, #"{"x-z":"q"}"#, #"{"z":"q"}"#,
        #"{"z":5}"#,
      ],
      rejects: [#"{"x-a":"abc"}"#, #"{"x-b":1}"#, #"{"b":1}"#, #"{"x-z":""}"#, #"{"z":""}"#])
  }

  @Test func countsOfProperties() throws {
    let properties =
      #""properties": {"a": true, "b": true, "c": true}, "additionalProperties": false"#
    try expect(
      #"{"type": "object", "minProperties": 2, \#(properties)}"#,
      accepts: [#"{"a":1,"c":1}"#, #"{"a":1,"b":1,"c":1}"#], rejects: ["{}", #"{"b":1}"#])
    try expect(
      #"{"type": "object", "maxProperties": 1, \#(properties)}"#, accepts: ["{}", #"{"b":1}"#],
      rejects: [#"{"a":1,"c":1}"#])
    try expect(
      #"{"type": "object", "minProperties": 1, "maxProperties": 2}"#,
      accepts: [#"{"b":1}"#, #"{"b":1,"c":2}"#], rejects: ["{}", #"{"a":1,"b":2,"c":3}"#])
  }

  @Test func arrays() throws {
    try expect(
      #"{"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3}"#,
      accepts: ["[1]", "[1,2]", "[1, 2, 3]"],
      rejects: ["[]", "[1,2,3,4]", "[true]", "[1,]", "[1 ,2]"])
    try expect(
      #"{"type": "array", "prefixItems": [{"type": "integer"}, {"type": "null"}], "items": false}"#,
      accepts: ["[]", "[1]", "[1,null]"], rejects: ["[null]", "[1,null,1]"])
    try expect(
      #"{"type": "array", "prefixItems": [{"type": "integer"}], "items": {"type": "boolean"}, "minItems": 2}"#,
      accepts: ["[1,true]", "[1,true,false,true]"], rejects: ["[1]", "[1,1]"])
    try expect(
      #"{"type": "array", "maxItems": 0, "uniqueItems": true}"#, accepts: ["[]"], rejects: ["[1]"])
    try expect(#"{"type": "array"}"#, accepts: ["[]", "[1, \"a\", [[]]]"], rejects: ["{}"])
  }

  @Test func enumAndConst() throws {
    try expect(
      #"{"enum": ["a", "ab", 1, 1.5, null, true, [1, {"k": "v"}], {}]}"#,
      accepts: [
        "\"a\"", "\"ab\"", "1", "1.5", "null", "true", #"[1,{"k":"v"}]"#, #"[1, {"k": "v"}]"#, "{}",
      ],
      rejects: ["\"b\"", "\"abc\"", "2", "false", "[1]", "[]", "1.0"])
    try expect(#"{"const": "\"é\n"}"#, accepts: [#""\"é\n""#], rejects: [#""é""#])
    // The rest of the schema chooses among the values.
    try expect(
      #"""
      {"enum": [1, 2, "a", "bb", [1], {"k": 1}, {"k": "x"}], "type": ["string", "object"],
       "minLength": 2, "properties": {"k": {"type": "string"}}}
      """#,
      accepts: ["\"bb\"", #"{"k":"x"}"#], rejects: ["1", "\"a\"", "[1]", #"{"k":1}"#])
    try expect(
      #"{"const": 1, "enum": [1.0, 2]}"#, accepts: ["1.0"], rejects: ["2", "3"])
    try expect(
      #"{"allOf": [{"enum": [1, 2, {"a": 1, "b": 2}]}, {"enum": [2, 3, {"b": 2.0, "a": 1}]}]}"#,
      accepts: ["2", #"{"a":1,"b":2}"#], rejects: ["1", "3"])
  }

  @Test func anyOfOneOfAllOf() throws {
    try expect(
      #"{"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 1}], "maximum": 5}"#,
      accepts: ["5", "-7", "\"a\""], rejects: ["6", "\"ab\"", "true"])
    try expect(
      #"{"oneOf": [{"type": "integer", "maximum": 3}, {"type": "integer", "minimum": 7}]}"#,
      accepts: ["3", "7"], rejects: ["4", "6"])
    try expect(
      #"""
      {"allOf": [{"type": "object", "properties": {"a": {"minimum": 1}}, "required": ["a"]},
                 {"properties": {"a": {"type": "integer", "maximum": 2}}, "additionalProperties": false}]}
      """#, accepts: [#"{"a":1}"#, #"{"a":2}"#], rejects: ["{}", #"{"a":3}"#, #"{"a":1,"b":1}"#])
    // Two groups of alternatives hold side by side.
    try expect(
      #"""
      {"anyOf": [{"type": "integer"}, {"type": "null"}], "allOf": [{"anyOf": [{"minimum": 3}, {"maximum": 1}]}]}
      """#, accepts: ["3", "1", "null"], rejects: ["2"])
  }

  @Test func oneOfIsToldApartByWhatStandsBesideIt() throws {
    try expect(
      #"""
      {"type": "object", "properties": {"k": {"type": "string"}, "n": true}, "required": ["k"],
       "oneOf": [{"properties": {"k": {"const": "a"}, "n": {"type": "null"}}},
                 {"properties": {"k": {"const": "b"}}}], "additionalProperties": false}
      """#,
      accepts: [#"{"k":"a","n":null}"#, #"{"k":"b","n":1}"#, #"{"k":"a"}"#],
      rejects: [#"{"k":"a","n":1}"#, #"{"k":"c"}"#, "{}"])
  }

  @Test func referencesMayBeRecursive() throws {
    try expect(
      ##"""
      {"$ref": "#/$defs/n~0o~1d%25e", "$defs": {"n~o/d%e": {"type": "object",
       "properties": {"next": {"anyOf": [{"$ref": "#/$defs/n~0o~1d%25e"}, {"type": "null"}]}},
       "required": ["next"], "additionalProperties": false}}}
      """##,
      accepts: [#"{"next":null}"#, #"{"next":{"next":{"next":null}}}"#],
      rejects: ["{}", #"{"next":{}}"#, #"{"next":{"next":null}"#])
    try expect(
      ##"{"type": "array", "items": {"$ref": "#"}, "maxItems": 2}"##,
      accepts: ["[]", "[[],[[],[]]]"], rejects: ["[[],[],[]]", "[1]"])
    // Beside a reference other keywords hold too.
    try expect(
      ##"{"definitions": {"s": {"type": "string"}}, "$ref": "#/definitions/s", "maxLength": 1}"##,
      accepts: ["\"a\""], rejects: ["\"ab\"", "1"])
  }

  @Test func nestingEndsWhereItCouldNotBeClosed() throws {
    let constraint = try OutputConstraint.json()
    #expect(
      try constraint.accepts(String(repeating: "[", count: 90) + String(repeating: "]", count: 90)))
    var matcher = try GrammarMatcher(constraint.grammar)
    var depth = 0
    while try matcher.advance(UInt8(ascii: "[")) { depth += 1 }
    #expect((90...130).contains(depth))
    for _ in 0..<depth { #expect(try matcher.advance(UInt8(ascii: "]"))) }
    #expect(matcher.mayEnd)
  }

  @Test func blanksAreBounded() throws {
    let schema =
      #"{"type": "array", "items": {"type": "object", "additionalProperties": {"type": "null"}}}"#
    let plain = #"[{"a":null,"b":null},{}]"#
    let spaced = #"[{"a": null, "b": null}, {}]"#
    let lines = "[\n  {\n    \"a\": null,\n    \"b\": null\n  },\n  {}\n]"
    try expect(schema, accepts: [plain], rejects: [spaced, lines], whitespace: .compact)
    try expect(schema, accepts: [plain, spaced], rejects: [lines, "[ ]"], whitespace: .spaced)
    let far = "[\n" + String(repeating: " ", count: 41) + "]"
    try expect(
      schema, accepts: [plain, spaced, lines], rejects: [far, "[\n\n]", "[\t]", " []", "[] "],
      whitespace: .indented)
  }

  /// Keys that Swift takes for equal are two for JSON.
  @Test func keysAreComparedByTheirBytes() throws {
    try expect(
      "{\"type\": \"object\", \"properties\": {\"e\\u0301\": {\"type\": \"null\"}, \"\\u00e9\": {\"const\": 1}}, \"additionalProperties\": false}",
      accepts: ["{\"e\u{301}\":null,\"\u{E9}\":1}"],
      rejects: ["{\"\u{E9}\":null}", "{\"e\u{301}\":1}"])
  }
}
