package import LoRAFiles
package import LoRAJSON

/// How a model wants to be sampled, as a `generation_config.json` says; nil where it does not.
public struct GenerationConfiguration: Sendable, Hashable {
  /// The token that begins a text.
  public var bosTokenID: Int?
  /// The tokens that end a text.
  public var eosTokenIDs: [Int]
  /// The token that fills batches up.
  public var padTokenID: Int?
  /// Whether to sample rather than to take the likeliest token.
  public var samples: Bool?
  /// What logits are divided by.
  public var temperature: Double?
  /// How many of the likeliest tokens are candidates; 0: all.
  public var topK: Int?
  /// The probability that the candidates, likeliest first, must reach together.
  public var topP: Double?
  /// The most tokens to generate.
  public var maximumNewTokens: Int?

  /// Creates a configuration from its parts.
  public init(
    bosTokenID: Int? = nil, eosTokenIDs: [Int] = [], padTokenID: Int? = nil, samples: Bool? = nil,
    temperature: Double? = nil, topK: Int? = nil, topP: Double? = nil,
    maximumNewTokens: Int? = nil
  ) {
    self.bosTokenID = bosTokenID
    self.eosTokenIDs = eosTokenIDs
    self.padTokenID = padTokenID
    self.samples = samples
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.maximumNewTokens = maximumNewTokens
  }

  /// Reads the text of a `generation_config.json`; `file` is for errors.
  package init(
    parsing bytes: [UInt8], file: String = "generation_config.json"
  ) throws(FormatError) {
    try self.init(try FileSystem.object(parsing: bytes, file: file), file: file)
  }

  /// Reads the object in a `generation_config.json`.
  package init(_ object: JSONObject, file: String) throws(FormatError) {
    let fields = JSONFields(object: object, file: file)
    self.init(
      bosTokenID: try fields.tokenIDs("bos_token_id").first,
      eosTokenIDs: try fields.tokenIDs("eos_token_id"),
      padTokenID: try fields.int("pad_token_id").flatMap { $0 >= 0 ? $0 : nil },
      samples: try fields.bool("do_sample"), temperature: try fields.double("temperature"),
      topK: try fields.int("top_k"), topP: try fields.double("top_p"),
      maximumNewTokens: try fields.size("max_new_tokens"))
    if let temperature, temperature < 0 {
      throw fields.error(.invalidValue, "temperature", "\(temperature) is below 0")
    }
    if let topK, topK < 0 { throw fields.error(.invalidValue, "top_k", "\(topK) is below 0") }
    if let topP, !(0...1).contains(topP) {
      throw fields.error(.invalidValue, "top_p", "\(topP) is not between 0 and 1")
    }
  }

  /// The text of a `generation_config.json` with what is set.
  package func encoded() -> [UInt8] {
    var object: JSONObject = [:]
    if let bosTokenID { object["bos_token_id"] = .integer(Int64(bosTokenID)) }
    if !eosTokenIDs.isEmpty { object["eos_token_id"] = json(tokenIDs: eosTokenIDs) }
    if let padTokenID { object["pad_token_id"] = .integer(Int64(padTokenID)) }
    if let samples { object["do_sample"] = .bool(samples) }
    if let temperature { object["temperature"] = .number(temperature) }
    if let topK { object["top_k"] = .integer(Int64(topK)) }
    if let topP { object["top_p"] = .number(topP) }
    if let maximumNewTokens { object["max_new_tokens"] = .integer(Int64(maximumNewTokens)) }
    return object.encodedBytesOfFile()
  }
}
