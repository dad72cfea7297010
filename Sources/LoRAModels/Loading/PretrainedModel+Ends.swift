import LoRAArchitectures
public import LoRAText

// Training ends texts with the tokenizer's end-of-sequence token, other programs stop at the
// configuration's. Published models exist where these are different tokens.

extension PretrainedModel {
  /// The tokens that end a text: the model's own, and the one that training with `tokenizer` ends
  /// texts with.
  public func stopTokens(with tokenizer: some Tokenizer) -> Set<Int> {
    stopTokens.union(tokenizer.endOfSequence.map { [$0] } ?? [])
  }

  /// What to tell who trains with `tokenizer` if the end that is taught is not one where other
  /// programs stop; nil if all agree.
  package func endOfTextWarning(with tokenizer: some Tokenizer) -> String? {
    func named(_ id: Int) -> String { tokenizer.token(of: id).map { "'\($0)' (\(id))" } ?? "\(id)" }
    guard let end = tokenizer.endOfSequence else {
      return "neither the tokenizer nor the model's configuration names a token that ends a text: "
        + "none is taught, and generation ends at its limit only; name one as eos_token"
    }
    guard !stopTokens.isEmpty, !stopTokens.contains(end) else { return nil }
    let others = generation.eosTokenIDs.map(named).joined(separator: ", ")
    return
      "texts are taught to end with the tokenizer's end-of-sequence token \(named(end)), which "
      + "is none of the model's stop tokens \(others); lora generate stops at it too, other "
      + "programs may not: make eos_token and eos_token_id agree"
  }
}
