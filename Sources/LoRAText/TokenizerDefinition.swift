import Foundation
import LoRAJSON
import LoRAPatterns

/// The parts of a tokenizer, read from files and checked.
struct TokenizerDefinition {
  var model: BytePairModel
  var added = AddedTokens()
  var normalizer: Normalizer?
  var preTokenizer: PreTokenizer?
  var templates: [[TemplatePiece]] = []
  var decoders: [DecoderStage.Kind] = [.join]
  var beginningOfSequence: Int?
  var endOfSequence: Int?

  init(json text: String) throws(TokenizerError) {
    try self.init(file: "tokenizer.json", bytes: Array(text.utf8))
    added.finish()
    useTemplateTokens()
  }

  init(contentsOf path: String) throws(TokenizerError) {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
      throw TokenizerError(
        .unreadable, file: path, expected: "a tokenizer.json or a directory with one",
        found: "nothing", advice: "check the path")
    }
    guard isDirectory.boolValue else {
      try self.init(file: path, bytes: try Self.read(path))
      added.finish()
      useTemplateTokens()
      return
    }
    let directory = path.hasSuffix("/") ? String(path.dropLast()) : path
    let config = try Self.readObject("\(directory)/tokenizer_config.json")
    let map = try Self.readObject("\(directory)/special_tokens_map.json")
    let configFile = "\(directory)/tokenizer_config.json"
    var addsTokensOfConfig = true
    if let bytes = try Self.readIfPresent("\(directory)/tokenizer.json") {
      try self.init(file: "\(directory)/tokenizer.json", bytes: bytes)
      addsTokensOfConfig = templates.isEmpty && !hasPostProcessor
    } else if let vocabulary = try Self.readIfPresent("\(directory)/vocab.json") {
      guard let merges = try Self.readIfPresent("\(directory)/merges.txt") else {
        throw TokenizerError(
          .unreadable, file: "\(directory)/merges.txt", expected: "the merges of vocab.json",
          found: "no such file", advice: "put merges.txt or tokenizer.json beside it")
      }
      try self.init(
        vocabulary: vocabulary, merges: merges, directory: directory, config: config)
    } else {
      throw TokenizerError(
        .unreadable, file: directory, expected: "tokenizer.json, or vocab.json and merges.txt",
        found: "neither",
        advice: "convert other tokenizers (sentencepiece's tokenizer.model) to tokenizer.json")
    }
    try addTokens(of: config, file: configFile)
    try nameSequenceTokens(config, map, file: configFile, addsToTemplate: addsTokensOfConfig)
    added.finish()
    useTemplateTokens()
  }

  /// Whether a tokenizer.json said what goes round a sequence.
  private var hasPostProcessor = false

  // MARK: tokenizer.json

  private init(file: String, bytes: [UInt8]) throws(TokenizerError) {
    let document = DefinitionReader(try Self.parse(bytes, file: file), file: file)
    let modelReader = try document.required("model")
    model = try BytePairModel(modelReader)
    if let reader = document.optional("normalizer") { normalizer = try Normalizer(reader) }
    if let reader = document.optional("pre_tokenizer") {
      preTokenizer = try PreTokenizer(reader)
    }
    if let reader = document.optional("post_processor") {
      hasPostProcessor = true
      templates = try Self.templates(reader)
    }
    if let reader = document.optional("decoder") {
      decoders = try DecoderStage.Kind.read(reader)
    }
    for reader in try document.optional("added_tokens")?.elements() ?? [] {
      let token = try AddedToken(reader)
      guard !token.content.isEmpty else { continue }
      let expected = try reader.required("id").integer()
      let id = added.add(token, vocabulary: model.vocabulary, normalizer: normalizer)
      guard id == expected else {
        throw reader.error(
          .inconsistent,
          expected: "the id \(id), the vocabulary's or the next free one", found: "\(expected)",
          advice: "the ids of added tokens must follow the vocabulary without a gap")
      }
    }
  }

  // MARK: vocab.json and merges.txt

  private init(
    vocabulary: [UInt8], merges: [UInt8], directory: String, config: JSONObject?
  ) throws(TokenizerError) {
    let configFile = "\(directory)/tokenizer_config.json"
    let reader = DefinitionReader(.object(config ?? [:]), file: configFile)
    let name = config?["tokenizer_class"]?.stringValue ?? "none"
    let kind = name.hasSuffix("Fast") ? String(name.dropLast(4)) : name
    let entries = DefinitionReader(
      try Self.parse(vocabulary, file: "\(directory)/vocab.json"),
      file: "\(directory)/vocab.json")
    let ids = try Vocabulary(entries)
    let table = try MergeTable(
      lines: merges, file: "\(directory)/merges.txt", vocabulary: ids, continuingPrefix: [])
    model = BytePairModel(
      vocabulary: ids, merges: table, unknown: -1, fusesUnknown: false, fallsBackToBytes: false,
      ignoresMerges: false, continuingPrefix: [], endSuffix: [])
    decoders = [.byteLevel]
    let addsPrefixSpace = try reader.optional("add_prefix_space")?.boolean() ?? false
    switch kind {
    case "Qwen2Tokenizer":
      normalizer = .unicode(.nfc)
      preTokenizer = .sequence([
        .split(
          .expression(try reader.expression(Self.qwen2Pattern)), .isolated, isInverted: false),
        .byteLevel(addsPrefixSpace: addsPrefixSpace, splitter: nil),
      ])
    case "GPT2Tokenizer":
      preTokenizer = .byteLevel(
        addsPrefixSpace: addsPrefixSpace,
        splitter: try reader.expression(PreTokenizer.byteLevelPattern))
    default:
      throw reader.at("tokenizer_class").error(
        .unsupported, expected: "Qwen2Tokenizer or GPT2Tokenizer beside vocab.json",
        found: name,
        advice: "save the tokenizer as tokenizer.json (transformers' save_pretrained does)")
    }
  }

  /// The pattern that `transformers` gives Qwen2's tokenizer when there is no tokenizer.json.
  static let qwen2Pattern =
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"#
    + #"|\s*[\r\n]+|\s+(?!\S)|\s+"#

  // MARK: tokenizer_config.json

  /// Adds the tokens of `added_tokens_decoder`, in the order of their ids.
  private mutating func addTokens(of config: JSONObject?, file: String) throws(TokenizerError) {
    let reader = DefinitionReader(.object(config ?? [:]), file: file)
    guard let decoder = reader.optional("added_tokens_decoder") else { return }
    var entries: [(id: Int, reader: DefinitionReader)] = []
    for (key, entry) in try decoder.members() {
      guard let id = Int(key) else {
        throw entry.error(
          .malformed, expected: "ids as keys", found: "\"\(key)\"", advice: "correct the key")
      }
      entries.append((id, entry))
    }
    for (id, entry) in entries.sorted(by: { $0.id < $1.id }) {
      let token = try AddedToken(entry)
      guard !token.content.isEmpty else { continue }
      let assigned = added.add(token, vocabulary: model.vocabulary, normalizer: normalizer)
      guard assigned == id else {
        throw entry.error(
          .inconsistent, expected: "the id \(assigned)", found: "\(id)",
          advice: "tokenizer_config.json and the vocabulary are of different tokenizers")
      }
    }
  }

  /// Finds the beginning and end of a sequence, adds the named tokens that are not known yet, and
  /// makes the template that `add_bos_token` and `add_eos_token` ask for if no file has one.
  private mutating func nameSequenceTokens(
    _ config: JSONObject?, _ map: JSONObject?, file: String, addsToTemplate: Bool
  ) throws(TokenizerError) {
    let reader = DefinitionReader(.object(config ?? [:]), file: file)
    let mapFile = file.replacingOccurrences(
      of: "tokenizer_config.json", with: "special_tokens_map.json")
    let mapReader = DefinitionReader(.object(map ?? [:]), file: mapFile)
    func named(_ key: String) throws(TokenizerError) -> AddedToken? {
      guard let entry = reader.optional(key) ?? mapReader.optional(key) else { return nil }
      if case .object = entry.value { return try AddedToken(entry) }
      return AddedToken(
        content: Array(try entry.string().utf8), isNormalized: false, isSpecial: true)
    }
    var ids: [String: Int] = [:]
    for key in ["bos_token", "eos_token", "unk_token", "pad_token"] {
      guard var token = try named(key), !token.content.isEmpty else { continue }
      token.isSpecial = true
      ids[key] =
        added.id(of: token.content)
        ?? added.add(token, vocabulary: model.vocabulary, normalizer: normalizer)
    }
    beginningOfSequence = ids["bos_token"]
    endOfSequence = ids["eos_token"]
    guard addsToTemplate else { return }
    var template: [TemplatePiece] = [.sequence]
    if try reader.optional("add_bos_token")?.boolean() == true, let id = beginningOfSequence {
      template.insert(.tokens([id]), at: 0)
    }
    if try reader.optional("add_eos_token")?.boolean() == true, let id = endOfSequence {
      template.append(.tokens([id]))
    }
    if template.count > 1 { templates = [template] }
  }

  /// Takes the tokens that the template starts and ends with where no file names them.
  private mutating func useTemplateTokens() {
    for template in templates {
      if beginningOfSequence == nil, case .tokens(let ids)? = template.first, ids.count == 1 {
        beginningOfSequence = ids[0]
      }
      if endOfSequence == nil, template.count > 1, case .tokens(let ids)? = template.last,
        ids.count == 1
      {
        endOfSequence = ids[0]
      }
    }
  }

  // MARK: Files

  private static func read(_ path: String) throws(TokenizerError) -> [UInt8] {
    let bytes: [UInt8]
    switch PlainFile.read(path) {
    case .success(let content): bytes = content
    case .failure(let reason):
      throw TokenizerError(
        .unreadable, file: path, expected: "a file that can be read", found: reason.text,
        advice: "check the path and its permissions")
    }
    if let size = LFSPointer.size(of: bytes) {
      throw TokenizerError(
        .unreadable, file: path, expected: "the tokenizer's own file",
        found: "something else: \(LFSPointer.problem(size: size))", advice: LFSPointer.remedy)
    }
    return bytes
  }

  private static func readIfPresent(_ path: String) throws(TokenizerError) -> [UInt8]? {
    FileManager.default.fileExists(atPath: path) ? try read(path) : nil
  }

  private static func readObject(_ path: String) throws(TokenizerError) -> JSONObject? {
    guard let bytes = try readIfPresent(path) else { return nil }
    let value = try parse(bytes, file: path)
    guard case .object(let object) = value else {
      throw TokenizerError(
        .malformed, file: path, expected: "an object", found: value.kind,
        advice: "restore the file")
    }
    return object
  }

  private static func parse(_ bytes: [UInt8], file: String) throws(TokenizerError) -> JSONValue {
    do {
      return try JSONValue(parsing: bytes)
    } catch {
      throw TokenizerError(
        .malformed, file: file, expected: "JSON", found: error.description,
        advice: "the file may be truncated: fetch or save it again")
    }
  }
}

/// A value of a JSON file that knows where it stands, for errors that tell.
struct DefinitionReader {
  let value: JSONValue
  let file: String
  let place: String

  init(_ value: JSONValue, file: String, place: String = "") {
    self.value = value
    self.file = file
    self.place = place
  }

  func error(
    _ kind: TokenizerError.Kind, expected: String, found: String, advice: String
  ) -> TokenizerError {
    TokenizerError(
      kind, file: file, place: place, expected: expected, found: found, advice: advice)
  }

  private func mismatch(_ expected: String) -> TokenizerError {
    error(.malformed, expected: expected, found: value.kind, advice: "correct the file")
  }

  /// The member of a name, null if it is absent; for errors about it too.
  func at(_ key: String) -> DefinitionReader {
    DefinitionReader(
      value[key] ?? .null, file: file, place: place.isEmpty ? key : "\(place).\(key)")
  }

  /// The member of a name; nil if it is absent or null.
  func optional(_ key: String) -> DefinitionReader? {
    let reader = at(key)
    return reader.value.isNull ? nil : reader
  }

  func required(_ key: String) throws(TokenizerError) -> DefinitionReader {
    guard let reader = optional(key) else {
      throw at(key).error(
        .malformed, expected: "a value", found: "nothing", advice: "add what is missing")
    }
    return reader
  }

  func elements() throws(TokenizerError) -> [DefinitionReader] {
    guard case .array(let array) = value else { throw mismatch("an array") }
    return array.enumerated().map {
      DefinitionReader($0.element, file: file, place: "\(place)[\($0.offset)]")
    }
  }

  func members() throws(TokenizerError) -> [(key: String, reader: DefinitionReader)] {
    guard case .object(let object) = value else { throw mismatch("an object") }
    return object.map { ($0.key, at($0.key)) }
  }

  func string() throws(TokenizerError) -> String {
    guard case .string(let string) = value else { throw mismatch("a string") }
    return string
  }

  func bytes() throws(TokenizerError) -> [UInt8] { Array(try string().utf8) }

  func integer() throws(TokenizerError) -> Int {
    guard let integer = value.intValue, (0...Int(Int32.max)).contains(integer) else {
      throw mismatch("an integer from 0 to \(Int32.max)")
    }
    return integer
  }

  func boolean() throws(TokenizerError) -> Bool {
    guard case .bool(let bool) = value else { throw mismatch("true or false") }
    return bool
  }

  /// Compiles a pattern found here.
  func expression(_ pattern: String) throws(TokenizerError) -> RegularExpression {
    do {
      return try RegularExpression(pattern)
    } catch {
      throw self.error(
        .unsupported, expected: "a pattern of the supported syntax",
        found: "\(error.message) in \(pattern)",
        advice: "see RegularExpression for what is supported")
    }
  }
}
