import LoRAFiles
import LoRAJSON

extension ConfigurationKey {
  /// The tokens that begin and end a text, and what absent keys mean.
  public static func tokens(bos: Int?, eos: [Int]) -> [ConfigurationKey] {
    [
      ConfigurationKey(
        name: "bos_token_id",
        read: { (configuration, fields) throws(FormatError) in
          configuration.bosTokenID =
            fields.object["bos_token_id"] == nil ? bos : try fields.tokenIDs("bos_token_id").first
        }, write: { json(tokenIDs: $0.bosTokenID.map { [$0] } ?? []) }),
      ConfigurationKey(
        name: "eos_token_id",
        read: { (configuration, fields) throws(FormatError) in
          configuration.eosTokenIDs =
            fields.object["eos_token_id"] == nil ? eos : try fields.tokenIDs("eos_token_id")
        }, write: { json(tokenIDs: $0.eosTokenIDs) }),
    ]
  }
}
